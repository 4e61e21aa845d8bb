import { type HostPlan, type IpAddress, type Problem, parseIpAddress } from "@svcproxy/topology";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { censusOf, EMPTY_CENSUS } from "../../data-path/census.ts";
import type { DataPathSession, ServicePortStatus } from "../../data-path/data-path.ts";
import { contractPlan } from "./contract-plan.ts";
import { anyStep, changedBetween, DNS, DNS_MOVED, EXTRA, type Step, WEB } from "./contract-walk.ts";
import type { DataPathHost } from "./data-path-host.ts";

const { signal } = new AbortController();

export interface ContractOptions {
  /** Why it cannot be played here. */
  readonly skip?: string | undefined;
  /** How many random walks are played; default 5. */
  readonly walks?: number;
}

/** What every data path promises, whatever carries the plan out. */
export function describeDataPath(
  name: string,
  createHost: () => Promise<DataPathHost>,
  { skip, walks = 5 }: ContractOptions = {},
): void {
  const title = `${name} keeps the contract of data paths${skip === undefined ? "" : ` (${skip})`}`;
  describe.skipIf(skip !== undefined)(title, { timeout: 120_000 }, () => {
    describe("apply", () => {
      test("carries the plan out, and twice is once", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        const first = await session.apply(contractPlan());
        expect(first).toEqual({ ...first, changed: true, problems: [] });
        const dump = await host.dump();
        expect((await host.dataPath.compare(contractPlan(), { signal })).differences).toEqual([]);
        const second = await session.apply(contractPlan());
        expect(second).toEqual({ ...second, changed: false, problems: [] });
        expect(await host.dump()).toBe(dump);
      });

      test("nothing changes before it", async () => {
        await using host = await createHost();
        const before = await host.dump();
        await using session = await host.dataPath.open(signal);
        expect(session.status()).toEqual([]);
        expect((await host.dataPath.compare(contractPlan(), { signal })).differences).not.toEqual([]);
        expect(await host.dump()).toBe(before);
      });

      test("makes of any walk of plans, by what changed or by all, what a fresh start makes", async () => {
        await fc.assert(
          fc.asyncProperty(fc.array(anyStep, { minLength: 1, maxLength: 5 }), async (walk) => {
            await using host = await createHost();
            const empty = await host.dump();
            const session = await host.dataPath.open(signal);
            let last: Step | undefined;
            for (const step of walk) {
              const changed = last === undefined || step.isFull ? undefined : changedBetween(last.plan, step.plan);
              await session.apply(contractPlan(step.plan), changed === undefined ? {} : { changed });
              last = step;
            }
            await session[Symbol.asyncDispose]();
            if (last === undefined) return;
            const plan = contractPlan(last.plan);
            expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
            await using fresh = await createHost();
            await applyOnce(fresh, plan);
            expect(await host.dump()).toBe(await fresh.dump());
            await host.dataPath.cleanup({ signal });
            expect(await host.dump()).toBe(empty);
          }),
          { numRuns: walks },
        );
      });

      test("is by meaning: a plan that says the same in other objects changes nothing", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const again = contractPlan();
        const changed = new Set([WEB, DNS, "default/api"]);
        expect(await session.apply(structuredClone(again), { changed })).toMatchObject({ changed: false });
        expect(await session.apply(structuredClone(again))).toMatchObject({ changed: false });
      });

      test("takes everything away where the plan has no services", async () => {
        await using host = await createHost();
        const empty = await host.dump();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const none = contractPlan({ services: [] });
        expect(await session.apply(none)).toMatchObject({ changed: true });
        expect(session.status()).toEqual([]);
        expect((await host.dataPath.compare(none, { signal })).differences).toEqual([]);
        expect(await host.dump()).toBe(empty);
      });
    });

    test("the census counts what is in force, as far as it does not end with a process", async () => {
      await using host = await createHost();
      expect(await host.dataPath.census({ signal })).toEqual(EMPTY_CENSUS);
      await applyOnce(host, contractPlan());
      const expected = host.dataPath.name === "userspace" ? EMPTY_CENSUS : censusOf(contractPlan());
      expect(await host.dataPath.census({ signal })).toEqual(expected);
      await host.dataPath.cleanup({ signal });
      expect(await host.dataPath.census({ signal })).toEqual(EMPTY_CENSUS);
    });

    test("what was found is given back as it was, whoever wrote it, and with others' things beside it", async () => {
      await using host = await createHost();
      const { dataPath } = host;
      expect(await dataPath.preserve?.({ signal })).toBeUndefined();
      await applyOnce(host, contractPlan());
      const preserved = await dataPath.preserve?.({ signal });
      if (preserved === undefined) {
        // What serves ends with its process, so that there is nothing to give back.
        expect(await dataPath.census({ signal })).toEqual(EMPTY_CENSUS);
        return;
      }
      expect(await preserved.restore({ signal })).toEqual([]);
      await host.addForeign();
      expect(await preserved.restore({ signal })).toEqual([]);
      for (const harm of [() => host.damage(), () => host.wipe()]) {
        await harm();
        expect(await preserved.restore({ signal })).not.toEqual([]);
        expect((await dataPath.compare(contractPlan(), { signal })).differences).toEqual([]);
        expect(await preserved.restore({ signal })).toEqual([]);
      }
    });

    describe("what changed", () => {
      test("is written, and only that", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const both = contractPlan({ web: ["b", "c"], dns: ["c"] });
        expect(await session.apply(both, { changed: new Set([WEB]) })).toMatchObject({ changed: true });
        const webOnly = contractPlan({ web: ["b", "c"] });
        expect((await host.dataPath.compare(webOnly, { signal })).differences).toEqual([]);
        expect((await host.dataPath.compare(both, { signal })).differences).not.toEqual([]);
        await session.apply(both, { changed: new Set([DNS]) });
        expect((await host.dataPath.compare(both, { signal })).differences).toEqual([]);
      });

      test("may be that a service came, or went", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const before = await host.dump();
        const more = contractPlan({ extra: true });
        expect(await session.apply(more, { changed: new Set([EXTRA]) })).toMatchObject({ changed: true });
        expect((await host.dataPath.compare(more, { signal })).differences).toEqual([]);
        expect(servicesOf(session)).toContain(EXTRA);
        expect(await session.apply(contractPlan(), { changed: new Set([EXTRA]) })).toMatchObject({ changed: true });
        expect(await host.dump()).toBe(before);
        expect(servicesOf(session)).not.toContain(EXTRA);
      });

      test("may be nothing", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        expect(await session.apply(contractPlan(), { changed: new Set() })).toMatchObject({ changed: false });
      });

      test("counts for nothing in the first apply of a session", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan(), { changed: new Set([WEB]) });
        expect((await host.dataPath.compare(contractPlan(), { signal })).differences).toEqual([]);
      });
    });

    describe("what another program changes", () => {
      test("is found, and mended", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const dump = await host.dump();
        await host.damage();
        const { differences } = await host.dataPath.compare(contractPlan(), { signal });
        expect(differences).not.toEqual([]);
        for (const { kind, place, text } of differences) expect([kind, place, text]).not.toContain("");
        expect(await session.apply(contractPlan())).toMatchObject({ changed: true });
        expect((await host.dataPath.compare(contractPlan(), { signal })).differences).toEqual([]);
        expect(await host.dump()).toBe(dump);
      });

      test("is mended where it is met while a change is written", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        await host.damage();
        const plan = contractPlan({ web: ["c"] });
        await session.apply(plan, { changed: new Set([WEB]) });
        expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
      });

      test("is mended where all of it went", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        await host.wipe();
        const plan = contractPlan({ web: ["c"] });
        await session.apply(plan, { changed: new Set([WEB]) });
        expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
      });
    });

    describe("a session", () => {
      test("leaves the promise in place when it ends, and the next one takes it over", async () => {
        await using host = await createHost();
        await applyOnce(host, contractPlan());
        const dump = await host.dump();
        expect((await host.dataPath.compare(contractPlan(), { signal })).differences).toEqual([]);
        await using session = await host.dataPath.open(signal);
        expect(await session.apply(contractPlan())).toMatchObject({ changed: false });
        await session.apply(contractPlan({ extra: true }));
        await session.apply(contractPlan());
        expect(await host.dump()).toBe(dump);
      });

      test("tells how each port of each service stands, in each family, and since when", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        const started = Date.now();
        await session.apply(contractPlan());
        expect(session.status().map(placeOf)).toEqual([
          "default/web tcp 80 IPv4",
          "default/web tcp 80 IPv6",
          "default/dns udp udp 53 IPv4",
          "default/dns udp udp 53 IPv6",
          "default/dns tcp tcp 53 IPv4",
          "default/dns tcp tcp 53 IPv6",
          "default/api tcp 443 IPv4",
          "default/api tcp 443 IPv6",
        ]);
        const first = session.status();
        for (const status of first) {
          expect(status).toMatchObject({ state: "in-force" });
          expect(status.problem).toBeUndefined();
          expect(status.since.getTime()).toBeGreaterThanOrEqual(started);
          expect(status.since.getTime()).toBeLessThanOrEqual(Date.now());
        }
        await nextMillisecond();
        await session.apply(contractPlan({ web: ["c"] }), { changed: new Set([WEB]) });
        expect(session.status()).toEqual(first);
        expect(await statesOf(session)).toEqual(new Set(["in-force"]));
      });
    });

    describe("what the machine refuses", () => {
      test("holds up nothing else: its ports have failed, and say why and since when", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        const plan = contractPlan({ dnsAddress: DNS_MOVED });
        await host.refuse([moved]);
        const { problems } = await session.apply(plan);
        expect(problems).toContainEqual(expect.objectContaining({ severity: "error", subject: `service ${DNS}` }));
        const failed = session.status().filter(({ state }) => state === "failed");
        expect(failed.length).toBeGreaterThan(0);
        expect(new Set(failed.map(({ service }) => service))).toEqual(new Set([DNS]));
        for (const { problem } of failed) {
          expect(problem).toMatchObject({ severity: "error", subject: `service ${DNS}` });
          expect(problem?.text).not.toBe("");
        }
        const others = session.status().filter(({ service }) => service !== DNS);
        expect(new Set(others.map(({ state }) => state))).toEqual(new Set(["in-force"]));
        await host.refuse([]);
        await nextMillisecond();
        const mended = Date.now();
        expect((await session.apply(plan)).problems).toEqual([]);
        expect(await statesOf(session)).toEqual(new Set(["in-force"]));
        for (const status of session.status()) {
          const wasFailed = failed.some((other) => placeOf(other) === placeOf(status));
          expect(status.since.getTime() >= mended).toBe(wasFailed);
        }
        expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
      });

      test("stays as it was last good, while the rest goes on", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        await host.refuse([moved]);
        const plan = contractPlan({ web: ["c"], dnsAddress: DNS_MOVED });
        await session.apply(plan, { changed: new Set([WEB, DNS]) });
        expect(session.status().filter(({ state }) => state === "failed")).not.toEqual([]);
        await host.refuse([]);
        expect((await host.dataPath.compare(contractPlan({ web: ["c"] }), { signal })).differences).toEqual([]);
        await session.apply(plan, { changed: new Set() });
        expect(await statesOf(session)).toEqual(new Set(["in-force"]));
        expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
      });

      test("is told at every apply, and its time stays", async () => {
        await using host = await createHost();
        await using session = await host.dataPath.open(signal);
        const plan = contractPlan({ dnsAddress: DNS_MOVED });
        await host.refuse([moved]);
        const nameOf = ({ code, subject }: Problem) => `${code} ${subject}`;
        const told = (await session.apply(plan)).problems.map(nameOf);
        expect(told).not.toEqual([]);
        const first = session.status().map(({ problem, ...status }) => status);
        await nextMillisecond();
        for (const options of [{}, { changed: new Set([WEB]) }, { changed: new Set([DNS]) }]) {
          expect((await session.apply(plan, options)).problems.map(nameOf)).toEqual(told);
        }
        expect(session.status().map(({ problem, ...status }) => status)).toEqual(first);
      });

      test("may be everything: then the machine has what it had, and the session goes on", async () => {
        await using host = await createHost();
        await host.addForeign();
        await using session = await host.dataPath.open(signal);
        await session.apply(contractPlan());
        const dump = await host.dump();
        const status = session.status();
        await host.refuse("everything");
        const plan = contractPlan({ web: ["c"], dns: ["b"], extra: true });
        const changed = new Set([WEB, DNS, EXTRA]);
        for (const options of [{ changed }, {}]) {
          await expect(session.apply(plan, options)).rejects.toMatchObject({ name: "EnvironmentError" });
          expect(await host.dump()).toBe(dump);
          expect(session.status()).toEqual(status);
        }
        await host.refuse([]);
        await session.apply(plan, { changed });
        expect((await host.dataPath.compare(plan, { signal })).differences).toEqual([]);
        expect(servicesOf(session)).toContain(EXTRA);
      });
    });

    describe("cleanup", () => {
      test("takes away what this data path put there, and nobody else's things; twice is once", async () => {
        await using host = await createHost();
        await host.addForeign();
        const before = await host.dump();
        await applyOnce(host, contractPlan({ extra: true }));
        for (const line of before.split("\n")) expect((await host.dump()).split("\n")).toContain(line);
        expect((await host.dataPath.cleanup({ signal })).removed).not.toEqual([]);
        expect(await host.dump()).toBe(before);
        expect(await host.dataPath.cleanup({ signal })).toMatchObject({ removed: [], problems: [] });
        expect(await host.dump()).toBe(before);
      });

      test("finds nothing on a machine on which it never was", async () => {
        await using host = await createHost();
        await host.addForeign();
        const before = await host.dump();
        expect(await host.dataPath.cleanup({ signal })).toMatchObject({ removed: [], problems: [] });
        expect(await host.dump()).toBe(before);
      });
    });

    describe("an abort", () => {
      test("before apply changes nothing", async () => {
        await using host = await createHost();
        await applyOnce(host, contractPlan());
        const dump = await host.dump();
        const abort = new AbortController();
        await using session = await host.dataPath.open(abort.signal);
        abort.abort();
        await expect(session.apply(contractPlan({ web: ["c"] }))).rejects.toMatchObject({ code: "INTERRUPTED" });
        expect(await host.dump()).toBe(dump);
      });

      test("before anything else ends it too", async () => {
        await using host = await createHost();
        const aborted = AbortSignal.abort();
        await expect(host.dataPath.open(aborted)).rejects.toMatchObject({ code: "INTERRUPTED" });
        await expect(host.dataPath.compare(contractPlan(), { signal: aborted })).rejects.toMatchObject({
          code: "INTERRUPTED",
        });
        await expect(host.dataPath.cleanup({ signal: aborted })).rejects.toMatchObject({ code: "INTERRUPTED" });
      });
    });

    test("its limitations are the plan's, whatever the machine", async () => {
      await using host = await createHost();
      const limitations = host.dataPath.limitations(contractPlan());
      await host.refuse("everything");
      expect(host.dataPath.limitations(contractPlan())).toEqual(limitations);
      for (const { severity, subject, text } of limitations) {
        expect(["error", "warning"]).toContain(severity);
        expect([subject, text]).not.toContain("");
        expect(text).not.toMatch(/\.$/);
      }
    });
  });
}

const moved = addressOf(DNS_MOVED);

function addressOf(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new TypeError(`not an address: ${text}`);
  return address;
}

async function applyOnce({ dataPath }: DataPathHost, plan: HostPlan): Promise<void> {
  await using session = await dataPath.open(signal);
  await session.apply(plan);
}

function placeOf({ service, portName, protocol, port, family }: ServicePortStatus): string {
  return [service, ...(portName === "" ? [] : [portName]), protocol, port, `IPv${family}`].join(" ");
}

function servicesOf(session: DataPathSession): readonly string[] {
  return session.status().map(({ service }) => service);
}

async function statesOf(session: DataPathSession): Promise<ReadonlySet<string>> {
  return new Set(session.status().map(({ state }) => state));
}

/** So that a time which is taken anew is another one. */
async function nextMillisecond(): Promise<void> {
  const start = Date.now();
  while (Date.now() <= start) await new Promise((resolve) => setTimeout(resolve, 1));
}
