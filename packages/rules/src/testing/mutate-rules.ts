import type { Family } from "@svcproxy/topology";
import type { Match } from "../match.ts";
import type { Chain, Rule, RuleSet, Table } from "../rule-set.ts";
import { applyCommands } from "../rule-sets/apply-commands.ts";
import { parseCommands } from "../rule-sets/parse-commands.ts";
import type { Target } from "../target.ts";
import { formatRule } from "../text/format-rule.ts";
import type { RandomSource } from "./differential/random-source.ts";

/** Rules with one thing changed. */
export interface Mutant {
  /** What was changed, in words. */
  readonly told: string;
  readonly rules: RuleSet;
}

/** Changes one thing of a rule set. @returns undefined where what was drawn cannot be changed */
export function mutateRules(rules: RuleSet, random: RandomSource): Mutant | undefined {
  const { family } = rules;
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
      return match.mode === "random" ? { ...match, threshold: Math.floor(match.threshold / 2) } : undefined;
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
