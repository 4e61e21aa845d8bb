import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { RuleSet } from "../rule-set.ts";
import { loadRules } from "../testing/differential/differential-run.ts";
import { withEveryTable } from "../testing/differential/every-table.ts";
import { createKernelWorld, type KernelWorld, sysctlsOf } from "../testing/differential/kernel-world.ts";
import { randomSource } from "../testing/differential/random-source.ts";
import { DEFAULT_SETTINGS } from "../testing/differential/world-plan.ts";
import { fatesOf, hasChanged, planProbes, probeOf } from "../testing/kernel-fates.ts";
import { mutateRules } from "../testing/mutate-rules.ts";
import { type ProveFixture, worldFixture } from "../testing/prove-fixtures.ts";
import { type ProveOptions, proveRules } from "./prove-rules.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset"],
  "iptables-legacy-restore",
]);

/** For each dialect; more for a long run. */
const mutants = Number(process.env["SVCPROXY_MUTANTS"] ?? 100);

/** Another one each run; SVCPROXY_SEED=N repeats one, and the test command takes the commit's. */
const seed = Number(process.env["SVCPROXY_SEED"] ?? Date.now() % 1_000_000_000);

/** Enough to tell a share from its half. */
const REPEATS_OF_COUNTER_EXAMPLE = 400;

/** Without the differential test's odd things: routing by mark, an address that the document's last rule leaves out, a port without hairpin mode. */
const PLAIN_HOST =
  "ip rule del fwmark 0x100/0x100 table 100; ip addr del 192.168.7.60/24 dev eth0; ip link set vpod2 type bridge_slave hairpin on";

describe.skipIf(reason !== undefined)(`mutants${reason === undefined ? "" : ` (${reason})`}`, () => {
  let world: KernelWorld;
  beforeAll(async () => {
    world = await createKernelWorld({ change: PLAIN_HOST });
  });
  afterAll(() => world[Symbol.asyncDispose]());

  test.for(["document", "kubernetes"] as const)(
    "of the %s dialect's rules are found broken exactly where the kernel treats a packet otherwise",
    {
      timeout: 60_000 + mutants * 3000,
    },
    async (dialect) => {
      const fixture = worldFixture(dialect);
      const tellsOurBit = fixture.deviations.every(({ kind }) => kind !== "mark-outlives-packet");
      const hostState = { ...world.hostState, sysctls: sysctlsOf(DEFAULT_SETTINGS), recentLists: {} };
      const proofOf = (rules: RuleSet) => proveRules({ ...provedParts(fixture), hostState, rules });
      expect(proofOf(fixture.rules).claims.filter(({ status }) => status !== "held")).toEqual([]);
      expect(await load(world, fixture.rules)).toBe(true);
      const probes = planProbes(fixture.plan);
      const before = await fatesOf(world, probes, { tellsOurBit });
      const random = randomSource(seed);
      const counts = { held: 0, broken: 0, byCounterExample: 0 };
      while (counts.held + counts.broken < mutants) {
        const mutant = mutateRules(fixture.rules, random);
        if (mutant === undefined || !(await load(world, mutant.rules))) continue;
        const after = await fatesOf(world, probes, { tellsOurBit });
        const changed = probes.filter((_probe, place) => hasChanged(before[place], after[place]));
        const proof = proofOf(mutant.rules);
        const told = `SVCPROXY_SEED=${seed}: ${mutant.told}`;
        if (proof.holds) {
          counts.held++;
          expect(changed.slice(0, 1), `${told}: holds, but a packet fares otherwise`).toEqual([]);
          continue;
        }
        counts.broken++;
        const packets = proof.claims
          .flatMap(({ broken, undecided }) => [...broken, ...undecided])
          .map(({ packet }) => packet);
        expect(packets.length, `${told}: broken without a packet`).toBeGreaterThan(0);
        // The probes saw the change by themselves; else the proof's own packets must show it.
        if (changed.length > 0) continue;
        counts.byCounterExample++;
        const shown = packets.flatMap((packet) => probeOf(packet, REPEATS_OF_COUNTER_EXAMPLE) ?? []);
        const now = await fatesOf(world, shown, { tellsOurBit });
        await load(world, fixture.rules);
        const once = await fatesOf(world, shown, { tellsOurBit });
        const differs = shown.some((_probe, place) => hasChanged(once[place], now[place]));
        expect(differs, `${told}: broken, but ${JSON.stringify(packets)} fare as before`).toBe(true);
      }
      console.info(`${dialect}, SVCPROXY_SEED=${seed}: ${JSON.stringify(counts)}`);
      expect(counts.broken).toBeGreaterThan(mutants / 4);
      expect(counts.held).toBeGreaterThan(0);
    },
  );
});

/** @returns whether the kernel takes the rules; it takes no chain that leads back to itself */
async function load(world: KernelWorld, rules: RuleSet): Promise<boolean> {
  const fault = await loadRules(world, {
    rules: withEveryTable(rules),
    settings: DEFAULT_SETTINGS,
    variant: "legacy",
  });
  return fault === undefined;
}

function provedParts({ plan, deviations, isOwn }: ProveFixture): Pick<ProveOptions, "plan"> & Partial<ProveOptions> {
  return { plan, deviations, isOwn };
}
