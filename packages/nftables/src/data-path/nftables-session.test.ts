import { contractPlan } from "@svcproxy/host/testing";
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { MemoryMachine } from "../testing/memory-machine.ts";
import { NftablesDataPath } from "./nftables-data-path.ts";
import type { NftablesSettings } from "./nftables-settings.ts";

const { signal } = new AbortController();

/** A machine in memory, and a session that keeps a plan on it. */
async function openSession({ takePorts }: Pick<NftablesSettings, "takePorts"> = {}) {
  const machine = new MemoryMachine();
  const dataPath = new NftablesDataPath({ machine, settings: { takePorts } });
  return { machine, dataPath, session: await dataPath.open(signal) };
}

const plan = contractPlan({ v6: false });
const [hostAddress] = plan.host.addresses;
if (hostAddress === undefined) throw new Error("the host has no address");
const SSH = { protocol: "tcp", port: 30_080, address: hostAddress, inode: 7 } as const;

test("a NodePort that a program comes to listen on is left out, and comes back when the program ends", async () => {
  const { machine, dataPath, session } = await openSession();
  await using _ = session;
  await session.apply(plan);
  const looks = machine.looks;
  machine.listeners = [SSH];
  const { problems } = await session.apply(plan, { changed: new Set() });
  expect(problems).toMatchObject([{ code: "NODE_PORT_TAKEN", severity: "error" }]);
  expect(machine.looks).toBe(looks);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).not.toBe(true);
  expect(session.status().filter(({ state }) => state !== "in-force")).toMatchObject([
    { service: "default/web", state: "refused", problem: { code: "NODE_PORT_TAKEN" } },
  ]);
  // What is left out is no difference, and is told.
  expect(await dataPath.compare(plan, { signal })).toMatchObject({
    differences: [],
    problems: [{ code: "NODE_PORT_TAKEN" }],
  });
  machine.listeners = [];
  expect((await session.apply(plan, { changed: new Set() })).problems).toEqual([]);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).toBe(true);
  expect(session.status().every(({ state }) => state === "in-force")).toBe(true);
});

test("a NodePort is taken from a program where that is asked for", async () => {
  const { machine, session } = await openSession({ takePorts: new Set([30_080]) });
  await using _ = session;
  machine.listeners = [SSH];
  expect((await session.apply(plan)).problems).toEqual([]);
  expect(machine.table(4).read()?.elements.get("nodeports")?.has("tcp . 30080")).toBe(true);
});

test("what a change left over goes once it is quiet; where it does not, that is counted, and the next change goes in", async () => {
  vi.useFakeTimers({ toFake: ["performance", "setTimeout", "clearTimeout"] });
  onTestFinished(() => void vi.useRealTimers());
  const { machine, session } = await openSession();
  const changed = new Set(["default/web"]);
  const leaveOver = async () => {
    await session.apply(contractPlan({ v6: false, web: ["a", "b"] }));
    await session.apply(contractPlan({ v6: false, web: ["a"] }), { changed });
  };
  await leaveOver();
  const { length } = machine.committed;
  await vi.advanceTimersByTimeAsync(1_500);
  expect([machine.committed.length - length, session.cleanupFailureCount()]).toEqual([1, 0]);
  await leaveOver();
  machine.refuses = () => true;
  await vi.advanceTimersByTimeAsync(1_500);
  expect(session.cleanupFailureCount()).toBe(1);
  machine.refuses = () => false;
  expect((await session.apply(contractPlan({ v6: false, web: ["b"] }), { changed })).problems).toEqual([]);
  await session[Symbol.asyncDispose]();
});

test("changed services that the machine refuses are told as such, also where all went in after a look", async () => {
  const { machine, session } = await openSession();
  await using _ = session;
  const changed = new Set(["default/web"]);
  expect(await session.apply(contractPlan({ v6: false, web: ["a"] }))).not.toHaveProperty("refusedPart");
  expect(await session.apply(contractPlan({ v6: false, web: ["b"] }), { changed })).not.toHaveProperty("refusedPart");
  let refusals = 1;
  machine.refuses = () => refusals-- > 0;
  const report = await session.apply(contractPlan({ v6: false, web: ["a"] }), { changed });
  expect([report.refusedPart, report.problems]).toEqual([true, []]);
});

test("whether our tables were there before is told by whoever looked", async () => {
  const { dataPath, session } = await openSession();
  expect((await session.apply(plan)).continues).toBe(false);
  expect(await session.apply(plan, { changed: new Set() })).not.toHaveProperty("continues");
  await session[Symbol.asyncDispose]();
  await using next = await dataPath.open(signal);
  expect((await next.apply(plan)).continues).toBe(true);
});

describe("what another program does to our table as soon as it is written", () => {
  const changed = new Set(["default/web"]);
  const FOREIGN = { code: "FOREIGN_CHANGE", severity: "warning", subject: "table ip svcproxy" };
  const planWith = (...web: readonly string[]) => contractPlan({ v6: false, web });

  // Reading again takes no time by this clock, and so is never put off.
  beforeEach(() => void vi.useFakeTimers({ toFake: ["performance"] }));
  afterEach(() => void vi.useRealTimers());

  test("is found by reading again what was written, told once and mended; else nothing is looked at", async () => {
    const { machine, dataPath, session } = await openSession();
    await using _ = session;
    await session.apply(planWith("a", "b"));
    const looks = machine.looks;
    expect((await session.apply(planWith("a", "b", "c"), { changed })).problems).toEqual([]);
    expect(machine.looks).toBe(looks);
    removesOnce(machine);
    expect((await session.apply(planWith("b", "c"), { changed })).problems).toMatchObject([FOREIGN]);
    expect((await dataPath.compare(planWith("b", "c"), { signal })).differences).toEqual([]);
    expect((await session.apply(planWith("b", "c"), { changed: new Set() })).problems).toEqual([]);
  });

  test("is found by an apply that looked at everything before", async () => {
    const { machine, dataPath, session } = await openSession();
    await using _ = session;
    await session.apply(planWith("a", "b"));
    removesOnce(machine);
    expect((await session.apply(planWith("c"))).problems).toMatchObject([FOREIGN]);
    expect((await dataPath.compare(planWith("c"), { signal })).differences).toEqual([]);
  });

  test("is no reason to go on for ever", async () => {
    const { machine, session } = await openSession();
    await using _ = session;
    await session.apply(planWith("a", "b"));
    machine.afterCommit = () => machine.table(4).removeElement("endpoints-tcp", "1:0 . 0");
    await expect(session.apply(planWith("c"))).rejects.toMatchObject({ code: "RULES_KEEP_CHANGING" });
    machine.afterCommit = () => {};
    expect((await session.apply(planWith("c"))).problems).toEqual([]);
  });

  function removesOnce(machine: MemoryMachine): void {
    machine.afterCommit = () => {
      machine.afterCommit = () => {};
      machine.table(4).removeElement("endpoints-tcp", "1:0 . 0");
    };
  }
});
