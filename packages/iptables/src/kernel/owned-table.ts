import { type Chain, type Rule, type RuleSet, ruleKey, type Table } from "@svcproxy/rules";
import type { Hook } from "../desired-rules.ts";
import { FIREWALL } from "../rule-parts/chain-names.ts";
import type { RuleStyle } from "../rule-style.ts";
import { FIREWALL_MARK, hookMark, isMark, isOwnChain, MARKER_CHAIN, SHAREABLE, styleMark } from "./own-chains.ts";

/** One table of the kernel, told apart into what is ours and what is not. */
export interface OwnedTable {
  readonly name: string;
  /** Whether a mark of ours stands there; without it, chains with our names were made by somebody else. */
  readonly isMarked: boolean;
  /** Empty chains of ours that only say what is ours, by name. */
  readonly marks: ReadonlySet<string>;
  /** Chains with our names, marks aside. */
  readonly ownChains: ReadonlyMap<string, Chain>;
  readonly foreignChains: ReadonlyMap<string, Chain>;
  /** Chains that are there and that others need too: they are among ours where the plan has them, and stay when ours go. */
  readonly shared: ReadonlySet<string>;
  readonly builtIn: ReadonlyMap<string, readonly BuiltInEntry[]>;
  /** Every chain, by name. */
  readonly chains: ReadonlyMap<string, Chain>;
}

/** A rule in a built-in chain. */
export interface BuiltInEntry {
  readonly rule: Rule;
  readonly key: string;
  readonly isOurs: boolean;
}

/** What a plan has in one table. */
export interface TablePlan {
  readonly name: string;
  readonly chains: ReadonlySet<string>;
  readonly hooks: readonly Hook[];
}

/**
 * Tells a table apart. The plan is needed where there is no mark yet, for what somebody typed by hand and what is equal to a
 * rule of ours by chance, and for chains that we share with a kubelet.
 */
export function ownedTable(table: Table | undefined, plan: TablePlan): OwnedTable {
  const chains = new Map((table?.chains ?? []).map((chain) => [chain.name, chain]));
  const marks = new Set<string>();
  const ownChains = new Map<string, Chain>();
  const foreignChains = new Map<string, Chain>();
  for (const chain of chains.values()) {
    if (chain.policy !== undefined) continue;
    if (isMark(chain.name)) {
      marks.add(chain.name);
      // Whoever put a rule into a mark put it into a chain of ours.
      if (chain.rules.length > 0) ownChains.set(chain.name, chain);
    } else if (plan.chains.has(chain.name) || isOwnChain(chain.name, chains)) ownChains.set(chain.name, chain);
    else foreignChains.set(chain.name, chain);
  }
  const isMarked = marks.size > 0;
  const shared = new Set(SHAREABLE.filter((name) => chains.has(name) && !isOwnChain(name, chains)));
  const takesOver = !isMarked && [...ownChains.keys()].some((name) => !shared.has(name));
  const builtIn = new Map<string, readonly BuiltInEntry[]>();
  for (const chain of chains.values()) {
    if (chain.policy === undefined) continue;
    const planned = new Set(plan.hooks.filter((hook) => hook.chain === chain.name).map(({ rule }) => ruleKey(rule)));
    builtIn.set(
      chain.name,
      tellApart(chain, {
        marks,
        isOwnJump: (rule) => jumpsTo(rule, ownChains, marks),
        taken: takesOver ? planned : new Set(),
      }),
    );
  }
  return { name: plan.name, isMarked, marks, ownChains, foreignChains, shared, builtIn, chains };
}

/** For a look at what is ours without a plan. */
export function unplanned(name: string): TablePlan {
  return { name, chains: new Set(), hooks: [] };
}

function jumpsTo(rule: Rule, ownChains: ReadonlyMap<string, Chain>, marks: ReadonlySet<string>): boolean {
  const { target } = rule;
  return (target.kind === "jump" || target.kind === "goto") && (ownChains.has(target.chain) || marks.has(target.chain));
}

interface Ownership {
  readonly marks: ReadonlySet<string>;
  readonly isOwnJump: (rule: Rule) => boolean;
  /** Keys of rules that are ours without a mark. */
  readonly taken: ReadonlySet<string>;
}

function tellApart(chain: Chain, { marks, isOwnJump, taken }: Ownership): readonly BuiltInEntry[] {
  const entries = chain.rules.map((rule) => ({ rule, key: ruleKey(rule) }));
  const copies = new Map<string, number>();
  for (const { key } of entries) copies.set(key, (copies.get(key) ?? 0) + 1);
  const seen = new Map<string, number>();
  return entries.map(({ rule, key }) => {
    if (isOwnJump(rule)) return { rule, key, isOurs: true };
    const copy = seen.get(key) ?? 0;
    seen.set(key, copy + 1);
    // Ours stand before the equal rules that were there when we came.
    const ours = taken.has(key)
      ? Infinity
      : ownCopies({ chain: chain.name, rule, copies: copies.get(key) ?? 0, marks });
    return { rule, key, isOurs: copy < ours };
  });
}

function ownCopies(found: { chain: string; rule: Rule; copies: number; marks: ReadonlySet<string> }): number {
  if (found.marks.size === 0) return 0;
  const foreign = foreignCopies(found);
  return foreign === undefined ? 0 : Math.max(0, found.copies - foreign);
}

/** How many equal rules of others a rule's mark tells of; undefined where it has no mark. */
function foreignCopies({
  chain,
  rule,
  marks,
}: {
  chain: string;
  rule: Rule;
  marks: ReadonlySet<string>;
}): number | undefined {
  for (let foreign = 0; foreign <= 9; foreign++) {
    if (marks.has(hookMark(chain, rule, foreign))) return foreign;
  }
  return undefined;
}

/** The marks that the table needs for the plan to be known as ours later. */
export function wantedMarks(
  table: OwnedTable,
  {
    hooks,
    planned,
    style,
  }: { readonly hooks: readonly Hook[]; readonly planned: ReadonlySet<string>; readonly style: RuleStyle | undefined },
): ReadonlySet<string> {
  const wanted = new Set([MARKER_CHAIN, ...(style === undefined ? [] : [styleMark(style)])]);
  if (planned.has(FIREWALL) && !table.shared.has(FIREWALL)) wanted.add(FIREWALL_MARK);
  for (const { chain, rule } of hooks) {
    const { target } = rule;
    if ((target.kind === "jump" || target.kind === "goto") && planned.has(target.chain)) continue;
    const key = ruleKey(rule);
    const foreign = (table.builtIn.get(chain) ?? []).filter((entry) => entry.key === key && !entry.isOurs).length;
    wanted.add(hookMark(chain, rule, foreignCopies({ chain, rule, marks: table.marks }) ?? foreign));
  }
  return wanted;
}

/** What of a family's rules is ours: our chains without the marks, and our rules in the built-in chains. */
export function ownRules({ family, tables }: RuleSet): RuleSet {
  return {
    family,
    tables: tables.flatMap((table) => {
      const { name, isMarked, builtIn, ownChains } = ownedTable(table, unplanned(table.name));
      if (!isMarked) return [];
      const chains = table.chains.flatMap((chain) => {
        const entries = builtIn.get(chain.name);
        if (entries === undefined) return ownChains.has(chain.name) ? [chain] : [];
        return [{ ...chain, rules: entries.filter(({ isOurs }) => isOurs).map(({ rule }) => rule) }];
      });
      return [{ name, chains }];
    }),
  };
}
