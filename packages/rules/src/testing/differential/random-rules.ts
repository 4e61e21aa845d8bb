import type { Family } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import type { Chain, Hook, Rule, RuleSet, Table } from "../../rule-set.ts";
import { randomBlock } from "./random-addresses.ts";
import { extraMatch, interfaceMatch, protocolMatches } from "./random-matches.ts";
import { randomServices } from "./random-services.ts";
import type { RandomSource } from "./random-source.ts";
import { protocolFor, randomTarget } from "./random-targets.ts";
import type { RulePlace } from "./rule-place.ts";

const HOOKS: Readonly<Record<string, readonly Hook[]>> = {
  raw: ["PREROUTING", "OUTPUT"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  security: ["INPUT", "FORWARD", "OUTPUT"],
};

/** A rule set as a service proxy or a firewall could write it, of everything that the engine understands. */
export function randomRuleSet(random: RandomSource, family: Family): RuleSet {
  const services = random.chance(0.5) ? randomServices(random, family) : undefined;
  return {
    family,
    tables: Object.keys(HOOKS).map((table) => {
      const firewall = randomTable(random, { family, table, density: services === undefined ? 1 : 0.3 });
      return services === undefined
        ? firewall
        : mergeTables(
            firewall,
            services.tables.find(({ name }) => name === table),
          );
    }),
  };
}

function mergeTables(a: Table, b: Table | undefined): Table {
  if (b === undefined) return a;
  const merged = a.chains.map((chain) => {
    const other = b.chains.find(({ name }) => name === chain.name);
    return other === undefined ? chain : { ...chain, rules: [...chain.rules, ...other.rules] };
  });
  return {
    name: a.name,
    chains: [...merged, ...b.chains.filter(({ name }) => !merged.some((chain) => chain.name === name))],
  };
}

function randomTable(
  random: RandomSource,
  { family, table, density }: { family: Family; table: string; density: number },
): Table {
  const hooks = HOOKS[table] ?? [];
  // NAT's chains for destinations and for sources hold different targets.
  const groups: readonly (readonly Hook[])[] =
    table === "nat"
      ? [
          ["PREROUTING", "OUTPUT"],
          ["INPUT", "POSTROUTING"],
        ]
      : [hooks];
  const isUsed =
    random.chance(table === "nat" || table === "filter" ? 0.9 : table === "security" ? 0.15 : 0.45) &&
    random.chance(0.4 + 0.6 * density);
  const chains: Chain[] = [];
  for (const [index, group] of groups.entries()) {
    const names = isUsed
      ? [`${table}-${index}-a`, `${table}-${index}-b`, `${table}-${index}-c`].slice(0, random.below(4))
      : [];
    const own = names.map(
      (name, at): Chain => ({
        name,
        rules: randomRules(random, { family, table, hooks: group, isBuiltIn: false, below: names.slice(at + 1) }, 4),
      }),
    );
    const builtIn = group.map(
      (hook): Chain => ({
        name: hook,
        policy: table !== "nat" && isUsed && random.chance(0.06) ? "DROP" : "ACCEPT",
        rules: isUsed
          ? randomRules(random, { family, table, hooks: [hook], isBuiltIn: true, below: names }, Math.ceil(5 * density))
          : [],
      }),
    );
    chains.push(...builtIn, ...own);
  }
  return { name: table, chains };
}

function randomRules(random: RandomSource, place: RulePlace, most: number): readonly Rule[] {
  return Array.from({ length: random.below(most + 1) }, () => randomRule(random, place));
}

function randomRule(random: RandomSource, place: RulePlace): Rule {
  const matches: Match[] = [];
  const protocol = random.chance(0.4) ? random.pick(["tcp", "udp", "icmp", "sctp"] as const) : undefined;
  if (random.chance(0.3))
    matches.push({ kind: "source", negated: random.chance(0.15), cidr: randomBlock(random, place.family) });
  if (random.chance(0.35))
    matches.push({ kind: "destination", negated: random.chance(0.15), cidr: randomBlock(random, place.family) });
  if (random.chance(0.12)) matches.push(...interfaceMatch(random, place));
  if (place.family === 4 && random.chance(0.02)) matches.push({ kind: "fragment", negated: random.chance(0.7) });
  const target = randomTarget(random, place);
  const named = protocolFor(target) ?? protocol;
  const needsTcp = protocolFor(target) !== undefined;
  if (named !== undefined) matches.push(...protocolMatches(random, place.family, named, needsTcp));
  // Ports are there to be compared where the protocol is certain.
  const isCertain = matches.some((match) => match.kind === "protocol" && !match.negated);
  const extras = random.chance(0.45) ? 1 + random.below(2) : 0;
  for (let count = 0; count < extras; count++)
    matches.push(...extraMatch(random, place, isCertain ? named : undefined));
  // A rule that takes all and ends the walk leaves little to compare.
  if (matches.length === 0 && ["drop", "accept", "reject"].includes(target.kind) && random.chance(0.8))
    matches.push({ kind: "destination", negated: false, cidr: randomBlock(random, place.family) });
  return { matches, target };
}
