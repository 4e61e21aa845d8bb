import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { runDifferential } from "../testing/differential/differential-run.ts";
import { createKernelWorld } from "../testing/differential/kernel-world.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset"],
  ...["iptables-legacy-restore", "iptables-nft-restore"],
]);

const PACKETS_PER_RULE_SET = 16;

/** At least this many (rule set, packet) pairs; SVCPROXY_DIFFERENTIAL_PAIRS=100000 for the long run. */
const pairs = Number(process.env["SVCPROXY_DIFFERENTIAL_PAIRS"] ?? 2400);

/** Another one each run; SVCPROXY_DIFFERENTIAL_SEED=N repeats one. */
const seed = Number(process.env["SVCPROXY_DIFFERENTIAL_SEED"] ?? Date.now() % 1_000_000_000);

const VARIANTS = [
  { variant: "legacy", share: 0.85 },
  { variant: "nft", share: 0.15 },
] as const;

describe.skipIf(reason !== undefined)(`the engine and the kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for(VARIANTS)(
    "agree about random packets and random rules loaded by iptables-$variant",
    { timeout: 120_000 + pairs * 50 },
    async ({ variant, share }) => {
      await using world = await createKernelWorld();
      const ruleSets = Math.ceil((pairs * share) / PACKETS_PER_RULE_SET);
      console.info(
        `SVCPROXY_DIFFERENTIAL_SEED=${seed}: ${ruleSets} rule sets × ${PACKETS_PER_RULE_SET} packets, ${variant}`,
      );
      const result = await runDifferential(world, {
        seed,
        ruleSets,
        packetsPerRuleSet: PACKETS_PER_RULE_SET,
        variant,
        stopAfter: 5,
        ...(pairs > 10_000 ? { onProgress: (text: string) => console.info(text) } : {}),
      });
      console.info(`${result.pairs} pairs, ${result.packets} packets, ${JSON.stringify(result.verdicts)}`);
      expect(result.disagreements.map(({ text }) => text).join("\n\n")).toBe("");
      // Some rules of the grammar are beyond iptables-nft; the run must not wither to nothing for it.
      expect(result.pairs).toBeGreaterThan(ruleSets * PACKETS_PER_RULE_SET * 0.8);
      for (const verdict of result.pairs < 1000 ? [] : ["accepted", "untouched", "dropped", "refused", "undecided"])
        expect(result.verdicts, `no packet was ${verdict}`).toHaveProperty(verdict);
    },
  );
});
