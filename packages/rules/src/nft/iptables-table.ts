import { BUILT_IN_CHAINS } from "../rule-set.ts";
import type { NftChain, NftExpression, NftFamily, NftRule, NftStatement } from "./nft-rule-set.ts";

/** Whether iptables-nft keeps its rules in a table: one of its names, with a base chain of its own. */
export function isIptablesTable({
  family,
  name,
  chains,
}: {
  readonly family: NftFamily;
  readonly name: string;
  readonly chains: Iterable<NftChain>;
}): boolean {
  const builtIn = family === "ip" || family === "ip6" ? BUILT_IN_CHAINS[name] : undefined;
  return builtIn !== undefined && [...chains].some((chain) => chain.base !== undefined && builtIn.includes(chain.name));
}

/**
 * A rule of iptables as nft's text has it. nft translates iptables' extensions, and most of them rightly; of
 * `! --ctstate RELATED,ESTABLISHED,DNAT` it prints `ct status dnat`. What is told of states and status together is therefore
 * a condition that nobody can answer.
 */
export function withoutTranslation(rule: NftRule): NftRule {
  if (!rule.statements.some((statement) => asksCt(statement, "status"))) return rule;
  const statements = rule.statements.filter((statement) => !asksCt(statement, "status") && !asksCt(statement, "state"));
  return { ...rule, statements: [{ kind: "gate", text: "xt match conntrack" }, ...statements] };
}

function asksCt(statement: NftStatement, key: string): boolean {
  return statement.kind === "match" && isCt(statement.left, key);
}

function isCt(expression: NftExpression, key: string): boolean {
  return expression.kind === "bitwise"
    ? isCt(expression.left, key)
    : expression.kind === "ct" && expression.key === key;
}
