import type { NftChain, NftRuleSet, NftTable, RuleSet } from "@svcproxy/rules";
import { type Family, type HostPlan, type Problem, visible } from "@svcproxy/topology";
import { SERVICES_PRIORITY } from "../compile/fixed-chains.ts";
import { usesFamily } from "../data-path/draft-change.ts";
import { FAMILIES } from "../data-path/nftables-settings.ts";
import { type AskedPacket, endpointPackets, frontendPackets } from "./asked-packet.ts";
import { dropsForwarded } from "./drops-forwarded.ts";
import { type Fate, fateIn } from "./walk-chain.ts";

/** Rules of other programs that our packets meet. */
export interface ForeignRules {
  /** Tables of nftables with base chains that may matter; those of iptables-nft are not among them. */
  readonly nft: NftRuleSet;
  /** All tables of iptables, of both variants; where they hold very many rules, the filter table alone. */
  readonly iptables: readonly { readonly variant: "nft" | "legacy"; readonly rules: RuleSet }[];
  /** Where rules of our other data path are: `iptables-nft`, `ip6tables-legacy`. */
  readonly ownRules: readonly string[];
}

/** Which chains of others take what goes to our services before ours are asked, or drop it on its way to an endpoint. */
export function coexistenceProblems(plan: HostPlan, { nft, iptables, ownRules }: ForeignRules): readonly Problem[] {
  const inTheWay = FAMILIES.filter((family) => usesFamily(plan, family)).flatMap((family) => [
    ...nft.tables
      .filter((table) => !table.isDormant && isOfFamily(table, family))
      .flatMap((table) => table.chains.flatMap((chain) => chainProblems(plan, { family, table, chain }))),
    ...iptables
      .filter(({ rules }) => rules.family === family)
      .flatMap(({ variant, rules }) => iptablesProblems(plan, { family, variant, rules })),
  ]);
  return ownRules.length === 0 ? inTheWay : [...inTheWay, besideProblem(ownRules)];
}

function besideProblem(ownRules: readonly string[]): Problem {
  return {
    ...{ code: "OTHER_DATA_PATH", severity: "warning", subject: `our rules of ${ownRules.join(", ")}` },
    text: `Rules of ours are in ${ownRules.join(" and ")} too: the table is asked before them, and they stay as they are whatever becomes of the services`,
    hint: "svcproxy nftables apply --replace iptables takes them away, or: svcproxy iptables cleanup",
  };
}

function isOfFamily({ family: table }: NftTable, family: Family): boolean {
  return table === "inet" || table === (family === 4 ? "ip" : "ip6");
}

/** Whether a base chain may do something to our packets. */
export function mayMatter({
  type,
  hook,
  priority,
}: {
  readonly type: string;
  readonly hook: string;
  readonly priority: number;
}): boolean {
  if (hook === "forward") return type === "filter";
  // Of two tables that are asked at one priority, the one that was loaded last goes first.
  return (
    (hook === "prerouting" || hook === "output") &&
    (type === "nat" ? priority <= SERVICES_PRIORITY : priority < SERVICES_PRIORITY)
  );
}

interface PlacedChain {
  readonly family: Family;
  readonly table: NftTable;
  readonly chain: NftChain;
}

function chainProblems(plan: HostPlan, { family, table, chain }: PlacedChain): readonly Problem[] {
  const { base } = chain;
  if (base === undefined || !mayMatter(base)) return [];
  const isForward = base.hook === "forward";
  for (const packet of isForward ? endpointPackets(plan, family) : frontendPackets(plan, family)) {
    const fate = fateIn(chain, packet, table);
    if (isForward ? fate.kind === "dropped" : fate.kind !== "passed") {
      return [
        isForward ? forwardProblem({ table, chain, packet, fate }) : firstProblem({ table, chain, packet, fate }),
      ];
    }
  }
  return [];
}

interface Finding {
  readonly table: NftTable;
  readonly chain: NftChain;
  readonly packet: AskedPacket;
  readonly fate: Fate;
}

function firstProblem({ table, chain, packet, fate }: Finding): Problem {
  const name = nameOf(table, chain);
  const does = fate.kind === "dropped" ? "drops" : fate.kind === "taken" && !fate.isCertain ? "may take" : "takes";
  return {
    ...{ code: "FOREIGN_CHAIN_FIRST", severity: "warning", subject: `chain ${name}` },
    text: `Chain ${name} (priority ${chain.base?.priority}) is asked before ours, and ${does} what goes to ${packet.text}${ruleText(fate)}`,
    hint: `Leave the services' addresses out of that rule, or give its chain a priority above ${SERVICES_PRIORITY}`,
  };
}

function forwardProblem({ table, chain, packet, fate }: Finding): Problem {
  const name = nameOf(table, chain);
  return {
    ...{ code: "FORWARDING_DROPPED", severity: "warning", subject: `chain ${name}` },
    text: `Chain ${name} drops what is forwarded to the endpoint ${packet.text}${ruleText(fate) || ", by its policy"}`,
    hint: `nft insert rule ${name} ct status dnat accept`,
  };
}

function ruleText(fate: Fate): string {
  return fate.kind === "passed" || fate.rule === undefined ? "" : `: ${visible(fate.rule.text)}`;
}

function nameOf({ family, name }: NftTable, chain: NftChain): string {
  return visible(`${family} ${name} ${chain.name}`);
}

function iptablesProblems(
  plan: HostPlan,
  { family, variant, rules }: { readonly family: Family; readonly variant: "nft" | "legacy"; readonly rules: RuleSet },
): readonly Problem[] {
  const packet = endpointPackets(plan, family).find((asked) => dropsForwarded(rules, asked));
  if (packet === undefined) return [];
  const tool = `${family === 4 ? "iptables" : "ip6tables"}-${variant}`;
  return [
    {
      ...{ code: "FORWARDING_DROPPED", severity: "warning", subject: `chain FORWARD of ${tool}` },
      text: `Chain FORWARD of ${tool} drops what is forwarded to the endpoint ${packet.text}, by its policy`,
      hint: `${tool} -I FORWARD -m conntrack --ctstate DNAT -j ACCEPT`,
    },
  ];
}
