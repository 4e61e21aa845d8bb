import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { createKernelWorld } from "../../testing/differential/kernel-world.ts";
import { runNftDifferential } from "../../testing/differential/nft/nft-differential-run.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset"],
  ...["iptables-legacy-restore", "iptables-nft-restore"],
]);

const PACKETS_PER_RULE_SET = 16;

/** At least this many (rule set, packet) pairs; SVCPROXY_DIFFERENTIAL_PAIRS=100000 for the long run. */
const pairs = Number(process.env["SVCPROXY_DIFFERENTIAL_PAIRS"] ?? 1200);

/** Another one each run; SVCPROXY_SEED=N repeats one, and the test command has one of its own. */
const seed = Number(process.env["SVCPROXY_SEED"] ?? Date.now() % 1_000_000_000);

describe.skipIf(reason !== undefined)(`the engine and the kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  test("agree about random packets and random tables of nftables, with rules of iptables beside them", {
    timeout: 300_000 + pairs * 50,
  }, async () => {
    await using world = await createKernelWorld();
    const ruleSets = Math.ceil((pairs / PACKETS_PER_RULE_SET) * 1.6);
    console.info(`SVCPROXY_SEED=${seed}: ${ruleSets} rule sets × ${PACKETS_PER_RULE_SET} packets`);
    const result = await runNftDifferential(world, {
      seed,
      ruleSets,
      packetsPerRuleSet: PACKETS_PER_RULE_SET,
      stopAfter: 5,
    });
    console.info(
      `${result.pairs} pairs, ${result.packets} packets, ${result.undecided} undecided, ${JSON.stringify(result.verdicts)}`,
    );
    expect(result.disagreements.map(({ text }) => text).join("\n\n")).toBe("");
    // One rule set in three is not for nft, or not for iptables-nft.
    expect(result.pairs, result.refused.slice(0, 5).join("\n")).toBeGreaterThan(pairs * 0.6);
    // 3 or 4 % over many pairs; the packets of one rule set often meet the same question.
    expect(result.undecided).toBeLessThan(Math.max(20, result.pairs * 0.12));
    for (const verdict of result.pairs < 1000 ? [] : ["accepted", "untouched", "dropped", "refused", "undecided"])
      expect(result.verdicts, `no packet was ${verdict}`).toHaveProperty(verdict);
  });
});
