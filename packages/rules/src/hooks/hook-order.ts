import type { NftFamily, NftHook, NftTable } from "../nft/nft-rule-set.ts";
import type { Hook, Table } from "../rule-set.ts";
import type { AnyRule } from "./any-rule.ts";
import { chainEffects, type Effects, isWithoutEffect, mayCommute } from "./chain-effects.ts";
import type { HostRules, UnreadRules } from "./host-rules.ts";
import { tracksConnections } from "./tracks-connections.ts";

/** A chain as packets are sent through it, of either program. */
export interface RuleChain {
  readonly name: string;
  readonly rules: readonly AnyRule[];
}

/** A chain that the kernel asks by itself, with those that it may jump to. */
export interface BaseChain {
  /** As people call it: `nat`, `ip kube-proxy`. */
  readonly table: string;
  readonly name: string;
  readonly rules: readonly AnyRule[];
  readonly policy: "ACCEPT" | "DROP";
  readonly chains: ReadonlyMap<string, RuleChain>;
  /** Whether OUTPUT asks for another route once it has changed what the route hangs on. */
  readonly reroutes: boolean;
  /** Where its sets and maps are; undefined for iptables. */
  readonly nft: NftTable | undefined;
}

/** What the kernel does at a hook, one after the other. */
export type HookStage =
  /** Conntrack sees the packet. */
  | { readonly kind: "conntrack" }
  | { readonly kind: "chain"; readonly chain: BaseChain }
  /** Chains that are asked of a connection's first packet only, until one of them sets a translation up. */
  | { readonly kind: "nat"; readonly stages: readonly HookStage[] }
  /** Of one priority: whichever was loaded last is asked first, and a listing does not tell. */
  | { readonly kind: "orders"; readonly orders: readonly StageOrder[]; readonly because: string }
  | { readonly kind: "unread"; readonly unread: UnreadRules };

/** One order of chains that have the same priority. */
export interface StageOrder {
  readonly stages: readonly HookStage[];
  /** `nat POSTROUTING is asked before ip kube-proxy nat-postrouting`. */
  readonly text: string;
}

export type HookStages = Readonly<Record<Hook, readonly HookStage[]>>;

const HOOKS = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"] as const;
const CONNTRACK_PRIORITY = -200;

/** By the name of a built-in chain. */
const NFT_HOOK: Readonly<Record<Hook, NftHook>> = {
  PREROUTING: "prerouting",
  INPUT: "input",
  FORWARD: "forward",
  OUTPUT: "output",
  POSTROUTING: "postrouting",
};

/** Where the kernel's own tables hang; iptables-nft has `security` at another place. @see linux netfilter_ipv4.h */
const PRIORITIES: Readonly<Record<string, number>> = { raw: -300, mangle: -150, filter: 0, security: 50 };
const NFT_SECURITY_PRIORITY = 150;
/** Whatever priority chains of type nat have among themselves, all of them are asked at one place. @see linux nf_nat_register_fn */
const NAT_PRIORITY: Readonly<Record<Hook, number>> = {
  PREROUTING: -100,
  OUTPUT: -100,
  INPUT: 100,
  POSTROUTING: 100,
  FORWARD: 0,
};

interface Entry {
  readonly priority: number;
  readonly stage: HookStage;
  readonly effects: Effects;
  /** For people, where the order is not known. */
  readonly name: string;
}

/** The order in which the kernel asks a family's rules at each hook. */
export function hookStages(rules: HostRules): HookStages {
  const isTracked = tracksConnections(rules);
  const stagesOf = (hook: Hook) => inOrder(entriesOf(rules, hook, isTracked));
  return {
    PREROUTING: stagesOf(HOOKS[0]),
    INPUT: stagesOf(HOOKS[1]),
    FORWARD: stagesOf(HOOKS[2]),
    OUTPUT: stagesOf(HOOKS[3]),
    POSTROUTING: stagesOf(HOOKS[4]),
  };
}

function entriesOf(rules: HostRules, hook: Hook, isTracked: boolean): readonly Entry[] {
  const entries: Entry[] = [];
  const nat: Entry[] = [];
  for (const { variant, rules: ruleSet } of rules.iptables) {
    const isSeveral = rules.iptables.length > 1;
    for (const table of ruleSet.tables) {
      const chain = iptablesChain(table, hook, isSeveral ? (variant ?? "legacy") : undefined);
      if (chain === undefined) continue;
      const isNat = table.name === "nat";
      const priority =
        isNat && hook !== "FORWARD"
          ? NAT_PRIORITY[hook]
          : table.name === "security" && variant === "nft"
            ? NFT_SECURITY_PRIORITY
            : (PRIORITIES[table.name] ?? 0);
      (isNat ? nat : entries).push(entryOf(chain, priority));
    }
  }
  for (const table of rules.nft.tables) {
    if (!seesFamily(table.family, rules.family) || table.isDormant) continue;
    for (const { name, base, rules: own } of table.chains) {
      if (base === undefined || base.hook !== NFT_HOOK[hook]) continue;
      const chain = nftChain(table, { name, rules: own, policy: base.policy, reroutes: base.type === "route" });
      (base.type === "nat" ? nat : entries).push(entryOf(chain, base.priority));
    }
  }
  const asked = entries.filter(({ stage }) => stage.kind !== "chain" || !isWithoutEffect(stage.chain));
  const askedNat = nat.filter(({ stage }) => stage.kind !== "chain" || !isWithoutEffect(stage.chain));
  if (isTracked && askedNat.length > 0) {
    const stage: HookStage = { kind: "nat", stages: inOrder(askedNat) };
    asked.push({ priority: NAT_PRIORITY[hook], stage, effects: CHANGES, name: "NAT" });
  } else if (isTracked && hook !== "FORWARD") {
    // Answers are mapped back though no rule of this hook is asked.
    asked.push({ priority: NAT_PRIORITY[hook], stage: { kind: "nat", stages: [] }, effects: CHANGES, name: "NAT" });
  }
  if (hook === "PREROUTING" || hook === "OUTPUT")
    asked.push({ priority: CONNTRACK_PRIORITY, stage: { kind: "conntrack" }, effects: CHANGES, name: "conntrack" });
  for (const unread of rules.unread) {
    const priority = unreadPriority(unread, hook);
    if (priority !== undefined)
      asked.push({ priority, stage: { kind: "unread", unread }, effects: CHANGES, name: unread.table });
  }
  return asked;
}

const CHANGES: Effects = { changes: true, refuses: true, drops: true };

function entryOf(chain: BaseChain, priority: number): Entry {
  return {
    priority,
    stage: { kind: "chain", chain },
    effects: chainEffects(chain),
    name: `${chain.table} ${chain.name}`,
  };
}

function iptablesChain(table: Table, hook: Hook, variant: string | undefined): BaseChain | undefined {
  const chain = table.chains.find(({ name }) => name === hook);
  if (chain === undefined) return undefined;
  return {
    table: variant === undefined ? table.name : `${table.name} (${variant})`,
    name: hook,
    rules: chain.rules,
    policy: chain.policy ?? "ACCEPT",
    chains: chainsByName(table),
    reroutes: table.name === "mangle",
    nft: undefined,
  };
}

const byTable = new WeakMap<object, ReadonlyMap<string, RuleChain>>();

/** The chains of a table, one map for all of its hooks. */
function chainsByName(table: { readonly chains: readonly RuleChain[] }): ReadonlyMap<string, RuleChain> {
  const known = byTable.get(table);
  if (known !== undefined) return known;
  const chains = new Map(table.chains.map((chain) => [chain.name, chain]));
  byTable.set(table, chains);
  return chains;
}

function nftChain(
  table: NftTable,
  { name, rules, policy, reroutes }: RuleChain & { readonly policy: "accept" | "drop"; readonly reroutes: boolean },
): BaseChain {
  return {
    table: `${table.family} ${table.name}`,
    name,
    rules,
    policy: policy === "drop" ? "DROP" : "ACCEPT",
    chains: chainsByName(table),
    reroutes,
    nft: table,
  };
}

function seesFamily(family: NftFamily, wanted: 4 | 6): boolean {
  return family === "inet" || family === (wanted === 4 ? "ip" : "ip6");
}

/** Where a table that was not read hangs; undefined where it has no chain at the hook. */
function unreadPriority({ table, at }: UnreadRules, hook: Hook): number | undefined {
  if (at !== undefined) return devicePriority(at, hook);
  const name = table.split(" ").at(-1) ?? table;
  switch (name) {
    case "raw":
      return hook === "PREROUTING" || hook === "OUTPUT" ? -300 : undefined;
    case "mangle":
      return -150;
    case "nat":
      return hook === "FORWARD" ? undefined : NAT_PRIORITY[hook];
    case "filter":
    case "security":
      return hook === "INPUT" || hook === "FORWARD" || hook === "OUTPUT" ? (PRIORITIES[name] ?? 0) : undefined;
    default:
      return 0;
  }
}

/** Devices and bridges come before the first rule of an IP layer, and after its last. */
function devicePriority(at: NonNullable<UnreadRules["at"]>, hook: Hook): number | undefined {
  if (hook === "PREROUTING" && at !== "egress") return Number.NEGATIVE_INFINITY;
  return hook === "POSTROUTING" && at !== "ingress" ? Number.POSITIVE_INFINITY : undefined;
}

/** More of one priority than these, of which the order matters, are not followed: each order is a way of its own. */
const MOST_TIED = 4;

function inOrder(entries: readonly Entry[]): readonly HookStage[] {
  const byPriority = Map.groupBy(entries, ({ priority }) => priority);
  return [...byPriority]
    .sort(([a], [b]) => a - b)
    .flatMap(([priority, tied]) => components(tied).map((group) => ordered(group, priority)));
}

/** Groups within which the order matters; between them it does not. */
function components(entries: readonly Entry[]): readonly (readonly Entry[])[] {
  const groups: Entry[][] = [];
  for (const entry of entries) {
    const touching = groups.filter((group) => group.some((other) => !mayCommute(entry.effects, other.effects)));
    const merged = [...touching.flat(), entry];
    for (const group of touching) groups.splice(groups.indexOf(group), 1);
    groups.push(merged);
  }
  return groups;
}

function ordered(group: readonly Entry[], priority: number): HookStage {
  const [first] = group;
  if (first !== undefined && group.length === 1) return first.stage;
  const names = group.map(({ name }) => name).join(", ");
  const because = `which of ${names} is asked first is not known: all have priority ${priority}`;
  if (group.length > MOST_TIED) return { kind: "unread", unread: { table: names, because } };
  const orders = permutations(group).map((order) => ({
    stages: order.map(({ stage }) => stage),
    text: `${order[0]?.name} is asked before ${order
      .slice(1)
      .map(({ name }) => name)
      .join(" before ")}`,
  }));
  return { kind: "orders", orders, because };
}

function permutations<Item>(items: readonly Item[]): readonly (readonly Item[])[] {
  if (items.length <= 1) return [items];
  return items.flatMap((item, at) => permutations(items.toSpliced(at, 1)).map((rest) => [item, ...rest]));
}
