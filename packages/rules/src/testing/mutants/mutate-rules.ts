import type { Family } from "@svcproxy/topology";
import type { Match } from "../../match.ts";
import type { Chain, Rule, RuleSet, Table } from "../../rule-set.ts";
import { applyCommands } from "../../rule-sets/apply-commands.ts";
import { parseCommands } from "../../rule-sets/parse-commands.ts";
import type { Target } from "../../target.ts";
import { formatRule } from "../../text/format-rule.ts";
import type { RandomSource } from "../differential/random-source.ts";

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

/** Rules of others: at every place, and about connections, zones, marks and the loopback. */
const FOREIGN = [
  "-t nat -I PREROUTING 1 -p tcp -j ACCEPT",
  "-t nat -I OUTPUT 1 -p tcp --dport 80 -j RETURN",
  "-t nat -I POSTROUTING 1 -p tcp -j ACCEPT",
  "-t raw -A PREROUTING -p udp -j DROP",
  "-I FORWARD 1 -p tcp -j DROP",
  "-I FORWARD 1 -p tcp -j ACCEPT",
  "-A INPUT -p tcp --dport 22 -j ACCEPT",
  "-I FORWARD 1 -m conntrack --ctstate INVALID -j DROP",
  "-I FORWARD 1 -m conntrack --ctstate DNAT -j DROP",
  "-I FORWARD 1 -m conntrack --ctstate ESTABLISHED -j DROP",
  "-I INPUT 1 -m conntrack --ctdir REPLY -j DROP",
  "-t raw -A PREROUTING -p tcp -j CT --zone 5",
  "-t raw -A PREROUTING -p udp -j CT --zone-orig 5",
  "-t raw -A PREROUTING -i eth0 -j CT --zone 3",
  "-t raw -A OUTPUT -p tcp -j CT --zone 5",
  "-t raw -A OUTPUT -p udp -j CT --notrack",
  "-t raw -A PREROUTING -i flannel.1 -p tcp -j CT --notrack",
  "-t mangle -A POSTROUTING -j MARK --or-mark 0x4000",
  "-t mangle -A FORWARD -p tcp -j MARK --set-xmark 0x4000/0x4000",
  "-t mangle -A PREROUTING -j CONNMARK --restore-mark",
  "-t mangle -I PREROUTING 1 -j MARK --and-mark 0xffffbfff",
  "-t nat -I OUTPUT 1 -m addrtype --dst-type LOCAL -j ACCEPT",
] as const;

function withForeign(rules: RuleSet, { family, random }: { family: Family; random: RandomSource }): Mutant {
  const tool = family === 4 ? "iptables" : "ip6tables";
  const told = `${tool} ${random.pick(FOREIGN)}`;
  return { told, rules: applyCommands(rules, parseCommands(told, { family })) };
}

function alterRule(
  rule: Rule,
  { random, chains }: { random: RandomSource; chains: readonly Chain[] },
): Rule | undefined {
  const target = alterTarget(rule.target, { random, chains });
  if (target !== undefined && random.chance(0.5)) return { ...rule, target };
  const place = rule.matches.findIndex((match) => alterMatch(match, random) !== undefined);
  const match = rule.matches[place];
  const altered = match === undefined ? undefined : alterMatch(match, random);
  if (altered !== undefined) return { ...rule, matches: rule.matches.with(place, altered) };
  return target === undefined ? undefined : { ...rule, target };
}

function alterMatch(match: Match, random: RandomSource): Match | undefined {
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
    case "recent":
      return alterRecent(match, random);
    case "conntrack":
      return match.states === undefined
        ? undefined
        : { ...match, states: { ...match.states, negated: !match.states.negated } };
    case "protocol":
      return { ...match, protocol: match.protocol === "tcp" ? "udp" : "tcp" };
    case "inInterface":
    case "outInterface":
      return { ...match, negated: !match.negated };
    default:
      return undefined;
  }
}

function alterRecent(match: Extract<Match, { kind: "recent" }>, random: RandomSource): Match {
  const { seconds, hitCount } = match;
  return random.pick<Match>([
    { ...match, negated: !match.negated },
    { ...match, side: match.side === "source" ? "destination" : "source" },
    { ...match, name: `${match.name}X` },
    { ...match, action: match.action === "set" ? "remove" : "set" },
    ...(seconds === undefined
      ? []
      : [
          { ...match, seconds: seconds * 2 },
          { ...match, seconds: 1 },
        ]),
    { ...match, ...(seconds === undefined ? {} : { hitCount: (hitCount ?? 1) + 3 }) },
  ]);
}

function alterTarget(
  target: Target,
  { random, chains }: { random: RandomSource; chains: readonly Chain[] },
): Target | undefined {
  switch (target.kind) {
    case "mark":
      return { ...target, value: target.value * 2, mask: target.mask === 0xffffffff ? target.mask : target.mask * 2 };
    case "accept":
      return { kind: "drop" };
    case "drop":
      return { kind: "accept" };
    case "reject":
      return { kind: "drop" };
    case "masquerade":
      return { kind: "return" };
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
