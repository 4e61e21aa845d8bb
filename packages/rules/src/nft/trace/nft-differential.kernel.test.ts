import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { askPackets } from "../../testing/differential/differential-loop.ts";
import { describeKernelOutcome } from "../../testing/differential/judge.ts";
import { createKernelWorld, type KernelWorld, sysctlsOf } from "../../testing/differential/kernel-world.ts";
import { runNftDifferential } from "../../testing/differential/nft/nft-differential-run.ts";
import { formatNftSource } from "../../testing/differential/nft/nft-source.ts";
import { address, DEFAULT_SETTINGS, type Side } from "../../testing/differential/world-plan.ts";
import { createTracer } from "../../trace/trace-packet.ts";
import { parseNft } from "../parse-nft.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset"],
  ...["iptables-legacy-restore", "iptables-nft-restore"],
]);

const PACKETS_PER_RULE_SET = 16;

/** At least this many (rule set, packet) pairs; SVCPROXY_DIFFERENTIAL_PAIRS=100000 for the long run. */
const pairs = Number(process.env["SVCPROXY_DIFFERENTIAL_PAIRS"] ?? 1200);

/** Another one each run; SVCPROXY_SEED=N repeats one, and the test command has one of its own. */
const seed = Number(process.env["SVCPROXY_SEED"] ?? Date.now() % 1_000_000_000);

interface WrittenCase {
  readonly name: string;
  /** Chains of type, hook, priority and rules. */
  readonly chains: readonly (readonly [type: string, hook: string, priority: number, ...rules: string[]])[];
  readonly sent: readonly [side: Side, from: string, to: string];
  /** What the kernel does, as `describeKernelOutcome` says it. */
  readonly outcome: string;
  /** Whether the tracer leaves it open. */
  readonly isOpen?: true;
}

/** Packets whose addresses rules write past their connection. UDP from port 40001 to 53. */
const WRITTEN: readonly WrittenCase[] = [
  {
    name: "a mapped source is mapped again where the loopback brings the packet in",
    chains: [
      ["nat", "postrouting", 100, "snat to 192.168.7.60"],
      ["filter", "postrouting", 200, "ip saddr set 10.1.0.9"],
    ],
    sent: ["host", "192.168.7.6", "10.1.0.1"],
    outcome: "kept 192.168.7.60 40001 > 10.1.0.1 53 mark 0",
  },
  {
    name: "a redirected destination is mapped again in IPv6",
    chains: [
      ["nat", "output", -100, "udp dport 53 redirect"],
      ["filter", "postrouting", 200, "ip6 daddr set fd01::9"],
    ],
    sent: ["host", "fd07::6", "fd07::7"],
    outcome: "kept fd07::6 40001 > ::1 53 mark 0",
    isOpen: true,
  },
  {
    name: "what a chain of NAT writes leads to no other route",
    chains: [["nat", "output", -100, "udp dport 54 redirect", "ip daddr set 192.168.7.6"]],
    sent: ["host", "192.168.7.6", "192.168.7.7"],
    outcome: "out by eth0 192.168.7.6 40001 > 192.168.7.6 53 mark 0",
  },
  {
    // To 203.0.113.5, who sent nothing.
    name: "a refusal goes to a source that was written",
    chains: [
      ["filter", "prerouting", -150, "ct state new ip saddr set 203.0.113.5"],
      ["filter", "forward", 0, "reject"],
    ],
    sent: ["pod1", "10.1.0.2", "192.168.7.7"],
    outcome: "refused",
    isOpen: true,
  },
];

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

  describe("agree about packets that rules write into:", () => {
    let world: KernelWorld;
    beforeAll(async () => {
      world = await createKernelWorld();
    });
    afterAll(() => world[Symbol.asyncDispose]());

    test.for(WRITTEN)("$name", async ({ chains, sent: [side, from, to], outcome, isOpen }) => {
      const family = from.includes(":") ? 6 : 4;
      const header = family === 4 ? "ip" : "ip6";
      const texts = chains.map(
        ([type, hook, priority, ...rules], at) =>
          `chain c${at} {\ntype ${type} hook ${hook} priority ${priority}; policy accept;\n${rules.join("\n")}\n}\n`,
      );
      const table = `table ${header} t0 {\n${texts.join("")}}\n`;
      const settings = { ...DEFAULT_SETTINGS, rpFilter: 0 as const };
      const fault = await world.load({
        tool: "nft -f -",
        rules: `${formatNftSource({ tables: [] })}${table}`,
        settings,
      });
      expect(fault).toBeUndefined();
      const tracer = createTracer({
        rules: { family, iptables: [], nft: parseNft(table), unread: [] },
        hostState: { ...world.hostState, sysctls: sysctlsOf(settings) },
      });
      const ends = { source: address(from), destination: address(to) };
      const packet = { ...ends, protocol: "udp" as const, sourcePort: 40_001, destinationPort: 53, id: 1 };
      const [asked] = await askPackets(world, { tracer, sent: [{ side, mark: 0, packet }] });
      expect(new Set(asked?.observed.map(describeKernelOutcome))).toEqual(new Set([outcome]));
      expect(asked?.difference).toBeUndefined();
      const verdicts = asked?.trace.branches.map((one) => one.kind === "decided" && one.outcome.verdict);
      expect(verdicts?.includes("undecided")).toBe(isOpen === true);
    });
  });
});
