import type { HostRules } from "../../hooks/host-rules.ts";
import type { NftChain, NftRule, NftStatement } from "../../nft/nft-rule-set.ts";

const HIDDEN = /^xt match /;

/**
 * Of iptables' own extensions a listing of nft has the names alone: what one asks in another listing may be something else.
 * Gives them names of their own, so that their answers are not taken for those of the other side.
 */
export function withHiddenApart(rules: HostRules): HostRules {
  const tables = rules.nft.tables.map((table) => ({ ...table, chains: table.chains.map(apartInChain) }));
  return { ...rules, nft: { ...rules.nft, tables } };
}

function apartInChain(chain: NftChain): NftChain {
  return chain.rules.some(hides) ? { ...chain, rules: chain.rules.map(apartInRule) } : chain;
}

function hides({ statements }: NftRule): boolean {
  return statements.some((statement) => statement.kind === "gate" && HIDDEN.test(statement.text));
}

function apartInRule(rule: NftRule): NftRule {
  if (!hides(rule)) return rule;
  const statements = rule.statements.map(
    (one): NftStatement =>
      one.kind === "gate" && HIDDEN.test(one.text) ? { ...one, text: `${one.text}, settings not shown` } : one,
  );
  return { ...rule, statements, text: `${rule.text} (settings not shown)` };
}
