import type { Family } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { applyCommands } from "../apply/apply-commands.ts";
import type { Chain, Match, Rule, RuleSet, Table, Target } from "../rule-set.ts";
import type { RandomSource } from "../testing/differential/random-source.ts";
import { randomSource } from "../testing/differential/random-source.ts";
import { documentFixture, type ProveFixture, richFixture } from "../testing/prove-fixtures.ts";
import { formatRule } from "../text/format-rule.ts";
import { parseCommands } from "../text/parse-commands.ts";
import { toNumber } from "../trace/fraction.ts";
import type { TraceRequest } from "../trace/request.ts";
import { createTracer, type Trace } from "../trace/trace-packet.ts";
import type { ProofPacket } from "./proof.ts";
import { proveRules } from "./prove-rules.ts";

/** Rules that hold with one thing changed. The tracer, which the kernel vouches for, says whether that changes anything. */
interface Mutant {
  readonly told: string;
  readonly rules: RuleSet;
}

const MUTANTS = 40;

describe.for([
  ["document", documentFixture()],
  ["document, IPv4", richFixture("document", 4)],
  ["kubernetes, IPv4", richFixture("kubernetes", 4)],
  ["kubernetes, IPv6", richFixture("kubernetes", 6)],
] as const)("mutants of the rules of %s", ([, fixture]) => {
  test("that hold treat every packet as before; one that breaks is shown by its packet", { timeout: 120_000 }, () => {
    const random = randomSource(20_261_122);
    const packets = probes(fixture);
    const before = fates(fixture, fixture.rules, packets);
    const counts = { held: 0, broken: 0 };
    for (let number = 0; number < MUTANTS; number++) {
      const mutant = mutate(fixture, random);
      if (mutant === undefined) continue;
      const proof = proveRules({ ...fixture, rules: mutant.rules });
      const after = fates(fixture, mutant.rules, packets);
      const changed = packets.filter((_packet, place) => before[place] !== after[place]);
      if (proof.holds) {
        counts.held++;
        const [packet] = changed.filter((request) => isPromised(fixture, request));
        expect(packet === undefined ? "" : `${mutant.told}: holds, but ${JSON.stringify(packet)} fares otherwise`).toBe(
          "",
        );
        continue;
      }
      counts.broken++;
      const shown = proof.claims
        .flatMap(({ broken, undecided }) => [...broken, ...undecided])
        .map(({ packet }) => packet);
      const requests = shown.map(requestOf);
      const differs = requests.some(
        (request) => fates(fixture, fixture.rules, [request])[0] !== fates(fixture, mutant.rules, [request])[0],
      );
      expect(differs ? "" : `${mutant.told}: broken, but ${JSON.stringify(shown)} fare as before`).toBe("");
    }
    expect(counts.broken).toBeGreaterThan(MUTANTS / 4);
    expect(counts.held).toBeGreaterThan(0);
  });
});

/** What the plan leaves open may change: a deviation, or what conntrack calls INVALID. */
function isPromised({ plan }: ProveFixture, { mark = 0 }: TraceRequest): boolean {
  return mark === 0 || plan.dialect === "kubernetes";
}

function requestOf({ state, ...packet }: ProofPacket): TraceRequest {
  return {
    ...packet,
    ...(state === "ESTABLISHED" || state === "RELATED" || state === "UNTRACKED" ? { state } : {}),
  };
}

/** A packet from everywhere to everything that has a name, and to what has none. */
function probes({ plan, family }: ProveFixture): readonly TraceRequest[] {
  const ofFamily = <Address extends string>(addresses: readonly Address[]) =>
    addresses.filter((address) => address.includes(":") === (family === 6));
  const pods = plan.hosts.flatMap(({ pods: own }) =>
    own.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  );
  const sources = ofFamily([...plan.host.addresses, ...pods.slice(0, 10)]);
  const hosts = ofFamily(plan.hosts.flatMap(({ addresses }) => addresses));
  const dialled = plan.ports.flatMap((port) =>
    port.family !== family
      ? []
      : port.frontends.flatMap(({ addresses, port: number }) =>
          ofFamily(addresses).map((to) => ({ to, port: number, protocol: port.port.protocol })),
        ),
  );
  const others = [...ofFamily(pods), ...hosts].flatMap((to) => [22, 80].map((port) => ({ to, port, protocol: "tcp" })));
  return sources.flatMap((from) =>
    [...dialled, ...others].filter(({ to }) => to !== from).map((target) => ({ from, ...target })),
  );
}

/** The fate of each packet: for a client that no list remembers, and for one of whom that is not known. */
function fates({ hostState, plan, isOwn }: ProveFixture, rules: RuleSet, packets: readonly TraceRequest[]): string[] {
  const { recentLists: _, ...forgetful } = hostState;
  const tracers = [hostState, forgetful].map((state) =>
    createTracer({
      rules,
      hostState: state,
      isOwn: ({ table, chain, number }, rule) => isOwn({ table, chain, number, rule }),
    }),
  );
  const bit = 2 ** plan.node.masqueradeBit;
  return packets.map((packet) => tracers.map((tracer) => fateOf(tracer.trace(packet), bit)).join("\n\n"));
}

/** Everything that the claims are about, as text. */
function fateOf({ branches }: Trace, ourBit: number): string {
  const fate = branches.map((branch) => {
    if (branch.kind === "undecided") return `undecided ${JSON.stringify(branch.question.match)}`;
    const { verdict, destination, source, mark, leftBy } = branch.outcome;
    const isGone = verdict === "dropped" || verdict === "refused";
    // A share may differ by what the kernel cannot tell.
    const share = toNumber(branch.probability).toFixed(8);
    const way = isGone ? "" : JSON.stringify([destination, source, leftBy, mark & ~ourBit, branch.reply?.returns]);
    return `${verdict} ${share} ${way}`;
  });
  return fate.sort().join("\n");
}

function mutate({ rules, family }: ProveFixture, random: RandomSource): Mutant | undefined {
  const table = random.pick(rules.tables);
  const chain = random.pick(table.chains);
  if (random.chance(0.15)) return withForeign(rules, { family, random });
  if (chain.rules.length === 0) return undefined;
  const place = random.below(chain.rules.length);
  const rule = chain.rules[place];
  if (rule === undefined) return undefined;
  const told = `${table.name} ${chain.name} ${place + 1}: ${formatRule(rule, { style: "save", family })}`;
  const replaced = (changed: readonly Rule[]) => replaceChain(rules, { table, chain: { ...chain, rules: changed } });
  switch (random.pick(["delete", "swap", "alter", "alter"] as const)) {
    case "delete":
      return { told: `without ${told}`, rules: replaced(chain.rules.toSpliced(place, 1)) };
    case "swap": {
      const next = chain.rules[place + 1];
      if (next === undefined) return undefined;
      return { told: `swapped with the next: ${told}`, rules: replaced(chain.rules.toSpliced(place, 2, next, rule)) };
    }
    case "alter": {
      const altered = alterRule(rule, { random, chains: table.chains });
      if (altered === undefined) return undefined;
      const now = formatRule(altered, { style: "save", family });
      return { told: `${told} is now ${now}`, rules: replaced(chain.rules.with(place, altered)) };
    }
  }
}

function replaceChain(rules: RuleSet, { table, chain }: { table: Table; chain: Chain }): RuleSet {
  const chains = table.chains.map((one) => (one.name === chain.name ? chain : one));
  return { ...rules, tables: rules.tables.map((one) => (one.name === table.name ? { ...one, chains } : one)) };
}

function withForeign(rules: RuleSet, { family, random }: { family: Family; random: RandomSource }): Mutant {
  const tool = family === 4 ? "iptables" : "ip6tables";
  const told = random.pick([
    `${tool} -t nat -I PREROUTING 1 -p tcp -j ACCEPT`,
    `${tool} -t nat -I OUTPUT 1 -p tcp --dport 80 -j RETURN`,
    `${tool} -t nat -I POSTROUTING 1 -p tcp -j ACCEPT`,
    `${tool} -t raw -A PREROUTING -p udp -j DROP`,
    `${tool} -I FORWARD 1 -p tcp -j DROP`,
    `${tool} -I FORWARD 1 -p tcp -j ACCEPT`,
    `${tool} -A INPUT -p tcp --dport 22 -j ACCEPT`,
  ]);
  return { told, rules: applyCommands(rules, parseCommands(told, { family })) };
}

function alterRule(
  rule: Rule,
  { random, chains }: { random: RandomSource; chains: readonly Chain[] },
): Rule | undefined {
  const target = alterTarget(rule.target, { random, chains });
  if (target !== undefined && random.chance(0.5)) return { ...rule, target };
  const place = rule.matches.findIndex((match) => alterMatch(match) !== undefined);
  const match = rule.matches[place];
  const altered = match === undefined ? undefined : alterMatch(match);
  if (altered !== undefined) return { ...rule, matches: rule.matches.with(place, altered) };
  return target === undefined ? undefined : { ...rule, target };
}

function alterMatch(match: Match): Match | undefined {
  switch (match.kind) {
    case "source":
    case "destination":
      return { ...match, negated: !match.negated };
    case "tcp":
    case "udp": {
      const ports = match.destinationPorts;
      if (ports === undefined) return undefined;
      return { ...match, destinationPorts: { ...ports, from: ports.from + 1, to: ports.to + 1 } };
    }
    case "mark":
      return { ...match, value: match.value * 2, mask: (match.mask * 2) >>> 0 };
    case "statistic":
      return match.mode === "random" ? { ...match, threshold: Math.floor(match.threshold * 0.9) } : undefined;
    default:
      return undefined;
  }
}

function alterTarget(
  target: Target,
  { random, chains }: { random: RandomSource; chains: readonly Chain[] },
): Target | undefined {
  switch (target.kind) {
    case "mark":
      return { ...target, value: target.value * 2, mask: target.mask === 0xffffffff ? target.mask : target.mask * 2 };
    case "dnat": {
      const { ports } = target.to;
      return ports && { ...target, to: { ...target.to, ports: { from: ports.from + 1, to: ports.to + 1 } } };
    }
    case "jump": {
      // Only to where an endpoint is, so that no chain leads back to itself.
      const endpoints = chains.filter(({ name }) => name.startsWith("KUBE-SEP-") && name !== target.chain);
      return endpoints.length === 0 ? undefined : { ...target, chain: random.pick(endpoints).name };
    }
    default:
      return undefined;
  }
}
