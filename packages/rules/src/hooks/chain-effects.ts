import { unreachable } from "@svcproxy/topology";
import { changesWay } from "../effects/effect.ts";
import { matchEffect } from "../effects/match-effect.ts";
import { targetEffect } from "../effects/target-effect.ts";
import type { NftStatement, NftVerdict } from "../nft/nft-rule-set.ts";
import type { Rule } from "../rule-set.ts";
import { type AnyRule, isNftRule } from "./any-rule.ts";

/** What a base chain and those behind it may do to a packet, whatever packet it is. */
export interface Effects {
  /** Changes something that another chain may ask for. */
  readonly changes: boolean;
  /** Ends a packet with an answer to its sender. */
  readonly refuses: boolean;
  readonly drops: boolean;
}

interface ChainWithPolicy {
  readonly rules: readonly AnyRule[];
  readonly policy: "ACCEPT" | "DROP";
  readonly chains: ReadonlyMap<string, { readonly rules: readonly AnyRule[] }>;
}

/** Whether the chain lets every packet pass and does nothing. */
export function isWithoutEffect({ rules, policy }: ChainWithPolicy): boolean {
  return rules.length === 0 && policy === "ACCEPT";
}

/** Whether two chains do the same in either order: what one changes the other may ask for, and one refusal is not another. */
export function mayCommute(a: Effects, b: Effects): boolean {
  if (a.changes || b.changes) return false;
  return !(a.refuses && (b.refuses || b.drops)) && !(b.refuses && a.drops);
}

export function chainEffects({ rules, policy, chains }: ChainWithPolicy): Effects {
  const seen = new Set<string>();
  const found = { changes: false, refuses: false, drops: policy === "DROP" };
  const work = [rules];
  for (let list = work.pop(); list !== undefined; list = work.pop()) {
    for (const rule of list) {
      for (const target of isNftRule(rule) ? nftEffects(rule.statements, found) : iptablesEffects(rule, found)) {
        if (seen.has(target)) continue;
        seen.add(target);
        const chain = chains.get(target);
        if (chain !== undefined) work.push(chain.rules);
      }
      if (found.changes) return found;
    }
  }
  return found;
}

interface Found {
  changes: boolean;
  refuses: boolean;
  drops: boolean;
}

/** @returns the chains that it leads to */
function iptablesEffects({ target, matches }: Rule, found: Found): readonly string[] {
  // `recent` and its like write lists as they are asked.
  if (matches.map(matchEffect).some((effect) => changesWay(effect) || effect.certainty === "unknown"))
    found.changes = true;
  const effect = targetEffect(target);
  if (target.kind === "drop") found.drops = true;
  else if (target.kind === "reject") found.refuses = true;
  else if (changesWay(effect) || effect.next === "unknown" || effect.changes.includes("copy")) found.changes = true;
  return target.kind === "jump" || target.kind === "goto" ? [target.chain] : [];
}

function nftEffects(statements: readonly NftStatement[], found: Found): readonly string[] {
  return statements.flatMap((statement) => {
    switch (statement.kind) {
      case "verdict":
        return verdictEffects(statement.verdict, found);
      case "vmap": {
        if (statement.map.kind === "anonymous")
          return statement.map.elements.flatMap(({ data }) =>
            data?.kind === "verdict" ? verdictEffects(data.verdict, found) : [],
          );
        // What a named map leads to is not looked up here.
        found.drops = true;
        found.refuses = true;
        found.changes = true;
        return [];
      }
      case "reject":
        found.refuses = true;
        return [];
      case "match":
      case "gate":
      case "counter":
      case "inert":
        return [];
      case "copy":
      case "set":
      case "nat":
      case "masquerade":
      case "redirect":
      case "notrack":
      case "update":
      case "handover":
      case "unread":
        found.changes = true;
        return [];
      default:
        return unreachable(statement);
    }
  });
}

function verdictEffects(verdict: NftVerdict, found: Found): readonly string[] {
  if (verdict.kind === "drop") found.drops = true;
  return "chain" in verdict ? [verdict.chain] : [];
}
