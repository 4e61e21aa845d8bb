import process from "node:process";
import { whyNoKernelTests } from "@svcproxy/lab";
import { familyOf } from "@svcproxy/topology";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseSave } from "../rule-sets/parse-save.ts";
import { askPackets } from "../testing/differential/differential-loop.ts";
import { loadRules, runDifferential, tracerOf } from "../testing/differential/differential-run.ts";
import { withEveryTable } from "../testing/differential/every-table.ts";
import { FOUND_DISAGREEMENTS } from "../testing/differential/found-disagreements.ts";
import { describeKernelOutcome } from "../testing/differential/judge.ts";
import { createKernelWorld, type KernelWorld } from "../testing/differential/kernel-world.ts";
import { runRefusals } from "../testing/differential/refusal-run.ts";
import { runReplies } from "../testing/differential/reply-run.ts";
import { address, DEFAULT_SETTINGS, WORLD } from "../testing/differential/world-plan.ts";

const reason = whyNoKernelTests([
  ...["ip", "bridge", "unshare", "nsenter", "taskset", "nft", "tcpdump", "perl", "ipset", "nfacct"],
  ...["iptables-legacy-restore", "iptables-nft-restore"],
]);

const PACKETS_PER_RULE_SET = 16;

/** At least this many (rule set, packet) pairs; SVCPROXY_DIFFERENTIAL_PAIRS=100000 for the long run. */
const pairs = Number(process.env["SVCPROXY_DIFFERENTIAL_PAIRS"] ?? 2400);

/** Another one each run; SVCPROXY_SEED=N repeats one, and the test command has one of its own. */
const seed = Number(process.env["SVCPROXY_SEED"] ?? Date.now() % 1_000_000_000);

const VARIANTS = [
  { variant: "legacy", share: 0.85 },
  { variant: "nft", share: 0.15 },
] as const;

/** Rules of `ip rule` with everything that they can ask; a raw socket shows its own packets' ports and protocol to none. */
const POLICY = `
for n in "4 10.1.0.3 10.2.0.0 0x08" "6 fd01::3 fd02::aa 0x28"; do
  set -- $n
  ip -$1 rule add pref 40 lookup main suppress_prefixlength 0
  ip -$1 rule add pref 50 not fwmark 0x4000/0x4000 goto 70
  ip -$1 rule add pref 55 dsfield 0x10 lookup 100
  ip -$1 rule add pref 56 fwmark 0x1/0x1 prohibit
  ip -$1 rule add pref 57 goto 99999
  ip -$1 rule add pref 70 iif cni0 ipproto udp dport 53 lookup 100
  ip -$1 rule add pref 71 from $2 dsfield $4 blackhole
  ip -$1 rule add pref 72 iif eth0 ipproto tcp sport 40000-40005 unreachable
  ip -$1 rule add pref 73 not iif lo dsfield 0x08 lookup 100
  ip -$1 route add default via $3 dev flannel.1 onlink table 100
done
`;

/** One device with addresses of every scope and label, of which one is temporary, one tentative and one deprecated. */
const MANY_ADDRESSES = `
for a in 192.168.8.6/24 192.168.9.6/24; do ip addr add $a dev eth0; done
for a in 2001:db8:1::6/64 2001:db8:8000::6/48 2002:c000:204::6/64 fec0::6/64 fd77::6/64 2001::6/64; do ip addr add $a dev eth0 nodad; done
ip addr add 2001:db8:2::6/64 dev eth0 preferred_lft 0 nodad
ip addr add 2001:db8:8000::7/48 dev cni0 nodad
sysctl -qw net.ipv6.conf.eth0.accept_dad=1 net.ipv6.conf.eth0.dad_transmits=20
ip addr add 2001:db8:3::6/64 dev eth0
ip route add 198.51.100.0/24 dev eth0 scope link; ip route add 192.168.10.0/24 via 192.168.9.1 dev eth0
ip -6 route add 2001:db8::/32 dev eth0; ip -6 route add fec0:1::/32 via fd07::1 dev eth0
ip neigh add 2001:db8:1::9 lladdr 02:00:00:00:01:07 dev eth0
`;

const MASQUERADED_TO = {
  4: ["192.168.8.9", "192.168.9.9", "198.51.100.9", "192.168.10.9", "203.0.113.9"],
  6: [
    ...["2001:db8:1::9", "2001:db8:2::9", "2001:db8:3::9", "2001:db8:8000::9", "2001:db8:ffff::9", "2001:db8::9"],
    ...[
      "2002:1::9",
      "fec0:1::9",
      "fd77:1::9",
      "fc00::9",
      "2001:1::9",
      "2001:0:1::9",
      "2606::9",
      "fd02::2",
      "::1.2.3.4",
    ],
    ...["64:ff9b::1", "3ffe::1"],
  ],
} as const;

describe.skipIf(reason !== undefined)(`the engine and the kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
  test.for(VARIANTS)(
    "agree about random packets and random rules loaded by iptables-$variant",
    { timeout: 300_000 + pairs * 50 },
    async ({ variant, share }) => {
      await using world = await createKernelWorld();
      const ruleSets = Math.ceil((pairs * share) / PACKETS_PER_RULE_SET);
      console.info(`SVCPROXY_SEED=${seed}: ${ruleSets} rule sets × ${PACKETS_PER_RULE_SET} packets, ${variant}`);
      const result = await runDifferential(world, {
        seed,
        ruleSets,
        packetsPerRuleSet: PACKETS_PER_RULE_SET,
        variant,
        stopAfter: 5,
      });
      console.info(`${result.pairs} pairs, ${result.packets} packets, ${JSON.stringify(result.verdicts)}`);
      expect(result.disagreements.map(({ text }) => text).join("\n\n")).toBe("");
      // One rule set in six is not for iptables-nft. That it is three fifths of 23 by chance happens once in half a million runs.
      expect(result.pairs).toBeGreaterThan(ruleSets * PACKETS_PER_RULE_SET * 0.4);
      for (const verdict of result.pairs < 1000 ? [] : ["accepted", "untouched", "dropped", "refused", "undecided"])
        expect(result.verdicts, `no packet was ${verdict}`).toHaveProperty(verdict);
    },
  );

  test("agree where policy routing looks at more than the destination", { timeout: 300_000 }, async () => {
    await using world = await createKernelWorld({ change: POLICY });
    const ruleSets = Math.ceil(pairs / 8 / PACKETS_PER_RULE_SET);
    const result = await runDifferential(world, {
      ...{ seed, ruleSets, packetsPerRuleSet: PACKETS_PER_RULE_SET, variant: "legacy", stopAfter: 5 },
    });
    console.info(`${result.pairs} pairs, ${JSON.stringify(result.verdicts)}`);
    expect(result.disagreements.map(({ text }) => text).join("\n\n")).toBe("");
    expect(result.pairs).toBeGreaterThan(100);
  });

  test("agree about the address that MASQUERADE gives where there are many", { timeout: 300_000 }, async () => {
    await using world = await createKernelWorld({ change: MANY_ADDRESSES });
    const said: string[] = [];
    for (const family of [4, 6] as const) {
      const rules = parseSave("*nat\n-A POSTROUTING -j MASQUERADE\nCOMMIT\n", { family });
      const settings = { ...DEFAULT_SETTINGS, rpFilter: 0 as const };
      await loadRules(world, { rules: withEveryTable(rules), settings, variant: "legacy" });
      const [from] = WORLD[family].from.pod1;
      const sent = MASQUERADED_TO[family].map((to, at) => {
        const ends = { source: address(from ?? ""), destination: address(to) };
        const packet = { ...ends, protocol: "udp" as const, sourcePort: 40_001 + at, destinationPort: 53, id: 1 };
        return { side: "pod1" as const, mark: 0, packet };
      });
      const tracer = tracerOf(world, { rules, settings });
      for (const { sent: probe, observed, difference } of await askPackets(world, { tracer, sent })) {
        expect(difference, probe.packet.destination).toBeUndefined();
        said.push(...observed.map((one) => (one.kind === "delivered" ? one.source.address : one.kind)));
      }
    }
    // Were it always one address, nothing would be shown.
    expect(new Set(said).size).toBeGreaterThan(6);
  });

  test("agree whether answers come back to the client from whom it dialled", { timeout: 300_000 }, async () => {
    await using world = await createKernelWorld();
    const { answered, returned, disagreements } = await runReplies(world, {
      seed,
      ruleSets: 60,
      packetsPerRuleSet: 16,
    });
    console.info(`${answered} answers, ${returned} came back`);
    expect(disagreements.join("\n\n")).toBe("");
    expect(returned).toBeGreaterThan(100);
    expect(answered - returned).toBeGreaterThan(5);
  });

  test("agree whether the sender of a refused packet learns of it", { timeout: 300_000 }, async () => {
    await using world = await createKernelWorld();
    const { refused, told, disagreements } = await runRefusals(world, { seed, ruleSets: 80, packetsPerRuleSet: 12 });
    console.info(`${refused} refusals, ${told} of them told`);
    expect(disagreements.join("\n\n")).toBe("");
    expect(told).toBeGreaterThan(50);
    expect(refused - told).toBeGreaterThan(5);
  });

  describe("agree where they once did not:", () => {
    let world: KernelWorld;
    beforeAll(async () => {
      world = await createKernelWorld();
    });
    afterAll(() => world[Symbol.asyncDispose]());

    test.for(FOUND_DISAGREEMENTS)("$name", async ({ rules: text, settings: changed, sent, outcome }) => {
      const rules = parseSave(text, { family: familyOf(sent.packet.source) });
      const settings = { ...DEFAULT_SETTINGS, ...changed };
      await loadRules(world, { rules: withEveryTable(rules), settings, variant: "legacy" });
      const [asked] = await askPackets(world, { tracer: tracerOf(world, { rules, settings }), sent: [sent] });
      expect(asked?.observed.map(describeKernelOutcome)).toEqual([outcome]);
      expect(asked?.difference).toBeUndefined();
    });
  });
});
