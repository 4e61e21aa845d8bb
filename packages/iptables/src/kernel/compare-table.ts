import { type Chain, ruleKey } from "@svcproxy/rules";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import { FIREWALL } from "../rule-parts/chain-names.ts";
import { type ChainFinding, compareChain } from "./compare-chain.ts";
import { foreignRuleTakes } from "./foreign-rule-takes.ts";
import { noteSameChain } from "./known-chains.ts";
import { isOwnChain } from "./own-chains.ts";
import { type OwnedTable, wantedMarks } from "./owned-table.ts";
import { classesBehind, type PacketClass } from "./packet-class.ts";
import { type HookPlacement, placeHooks } from "./place-hooks.ts";

/** The table that says how our rules are written: each plan has it. */
const STYLED_TABLE = "nat";

/** All that tells one table of the kernel from the plan, as facts: `diff` tells them, `apply` mends them. */
export interface TableComparison {
  readonly table: OwnedTable;
  readonly missingMarks: readonly string[];
  readonly surplusMarks: readonly string[];
  /** Planned chains that are not there. */
  readonly missingChains: readonly Chain[];
  /** Chains of ours that the plan does not have. */
  readonly extraChains: readonly ExtraChain[];
  /** Planned chains that are there with other rules. */
  readonly changedChains: readonly ChangedChain[];
  /** By built-in chain, those with something to do only. */
  readonly placements: ReadonlyMap<string, HookPlacement>;
}

export interface ChangedChain {
  readonly planned: Chain;
  readonly findings: readonly ChainFinding[];
}

export interface ExtraChain {
  readonly chain: Chain;
  /** A foreign chain with a rule that jumps to it: the kernel lets nobody delete it then. */
  readonly heldBy: string | undefined;
}

/** @param desired undefined: nothing of ours is to be left in the table, marks included */
export function compareTable(table: OwnedTable, desired: DesiredRules | undefined): TableComparison {
  const planned = new Map(
    (desired?.tables ?? [])
      .filter(({ name }) => name === table.name)
      .flatMap(({ chains }) => chains.map((chain) => [chain.name, besideTheirs(chain, table)])),
  );
  for (const name of planned.keys()) {
    // Cleanup knows our chains by their names alone.
    if (name !== FIREWALL && !isOwnChain(name, planned))
      throw new TypeError(`chain ${name} of the plan does not have a name of ours`);
  }
  const hooks = (desired?.hooks ?? []).filter((hook) => hook.table === table.name);
  const holders = findHolders(table);
  const marks =
    planned.size === 0 && hooks.length === 0
      ? new Set<string>()
      : wantedMarks(table, {
          hooks,
          planned: new Set(planned.keys()),
          style: table.name === STYLED_TABLE ? desired?.style : undefined,
        });
  return {
    table,
    missingMarks: [...marks].filter((mark) => !table.marks.has(mark)),
    surplusMarks: [...table.marks].filter((mark) => !marks.has(mark)),
    missingChains: [...planned.values()].filter(({ name }) => !table.ownChains.has(name)),
    extraChains: [...table.ownChains.values()]
      .filter(({ name }) => !planned.has(name))
      .map((chain) => ({ chain, heldBy: holders.get(chain.name) })),
    changedChains: [...planned.values()].flatMap((chain) => {
      const current = table.ownChains.get(chain.name);
      if (current === undefined) return [];
      const findings = compareChain(current.rules, chain.rules);
      if (findings.length === 0) noteSameChain(current.rules, chain.rules);
      return findings.length === 0 ? [] : [{ planned: chain, findings }];
    }),
    placements: placeAll(table, { hooks, desired }),
  };
}

/** What others keep in KUBE-FIREWALL stays, and what they have there of ours is not written again. */
function besideTheirs(chain: Chain, { shared, chains }: OwnedTable): Chain {
  const theirs = chain.name === FIREWALL && shared.has(FIREWALL) ? chains.get(FIREWALL) : undefined;
  if (theirs === undefined) return chain;
  const known = new Set(theirs.rules.map((rule) => ruleKey(rule)));
  return { ...chain, rules: [...theirs.rules, ...chain.rules.filter((rule) => !known.has(ruleKey(rule)))] };
}

/** By chain, a foreign chain with a rule that jumps to it. */
export function findHolders(table: OwnedTable): ReadonlyMap<string, string> {
  const holders = new Map<string, string>();
  for (const { name, rules } of table.foreignChains.values()) {
    for (const { target } of rules) {
      if (target.kind === "jump" || target.kind === "goto") holders.set(target.chain, name);
    }
  }
  return holders;
}

function placeAll(
  table: OwnedTable,
  { hooks, desired }: { hooks: readonly Hook[]; desired: DesiredRules | undefined },
): ReadonlyMap<string, HookPlacement> {
  const placements = new Map<string, HookPlacement>();
  const classes = new Map<Hook, readonly PacketClass[]>();
  const classesOf = (hook: Hook) => {
    const known = classes.get(hook) ?? (desired === undefined ? [] : classesBehind(hook, desired));
    classes.set(hook, known);
    return known;
  };
  for (const chain of new Set([...table.builtIn.keys(), ...hooks.map((hook) => hook.chain)])) {
    const placement = placeHooks(table.builtIn.get(chain) ?? [], {
      hooks: hooks.filter((hook) => hook.chain === chain),
      takes: (foreign, hook) => foreignRuleTakes(foreign, classesOf(hook), { chains: table.chains, builtIn: chain }),
    });
    if (placement.findings.length > 0) placements.set(chain, placement);
  }
  return placements;
}
