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
 * `! --ctstate RELATED,ESTABLISHED,DNAT` it prints `ct status dnat`, of `--ports` with a range its ends alone, and of `!` with a
 * helper, a label or an owner a condition that no packet without a connection, or without a socket, meets; of every ICMP type, and of none
 * (`! --icmp-type any`), it prints the protocol a second time; of an IPv6 address `--dst-type UNICAST` asks what kind it is, and
 * `fib daddr type unicast` where it leads. What is told of these is a condition that nobody can answer.
 *
 * @see linux net/netfilter/xt_addrtype.c addrtype_mt6
 */
export function withoutTranslation(rule: NftRule, family: NftFamily): NftRule {
  const gates: NftStatement[] = [];
  let { statements } = rule;
  const leaveOut = (isOf: (statement: NftStatement) => boolean, module: string) => {
    const rest = statements.filter((statement) => !isOf(statement));
    if (rest.length === statements.length) return;
    gates.push({ kind: "gate", text: `xt match ${module}` });
    statements = rest;
  };
  if (statements.some((statement) => asksCt(statement, "status")))
    leaveOut((statement) => asksCt(statement, "status") || asksCt(statement, "state"), "conntrack");
  leaveOut((statement) => asksCt(statement, "helper"), "helper");
  leaveOut((statement) => asksCt(statement, "label") || setsLabel(statement), "connlabel");
  leaveOut(asksForOtherOwner, "owner");
  leaveOut(asksEitherPort, "multiport");
  if (family === "ip6") leaveOut(asksKindOfAddress, "addrtype");
  if (statements.some((statement) => isMeta(statement, ["l4proto"]))) leaveOut(asksIpProtocol, "icmp");
  return gates.length === 0 ? rule : { ...rule, statements: [...gates, ...statements] };
}

/**
 * A range that goes backward, which no rule has: some versions of nft print one of two conditions that follow each other,
 * `th dport < 80 ip6 hoplimit > 0` as `ip6 hoplimit != 80-0`.
 */
export function withoutBackwardRange(rule: NftRule): NftRule {
  if (!rule.statements.some(isBackward)) return rule;
  const statements = rule.statements.map(
    (one): NftStatement =>
      isBackward(one) ? { kind: "gate", text: "whether its two conditions hold of which nft prints one" } : one,
  );
  return { ...rule, statements };
}

function isBackward(statement: NftStatement): boolean {
  return (
    statement.kind === "match" &&
    statement.right.kind === "value" &&
    statement.right.parts.some(
      (part) =>
        typeof part === "object" && typeof part.from === "number" && typeof part.to === "number" && part.from > part.to,
    )
  );
}

function setsLabel(statement: NftStatement): boolean {
  return statement.kind === "inert" && statement.text.startsWith("ct label set");
}

function asksForOtherOwner(statement: NftStatement): boolean {
  return isMeta(statement, ["skuid", "skgid"]) && statement.kind === "match" && statement.comparison === "!=";
}

function isMeta(statement: NftStatement, keys: readonly string[]): boolean {
  return statement.kind === "match" && statement.left.kind === "meta" && keys.includes(statement.left.key);
}

function asksIpProtocol(statement: NftStatement): boolean {
  if (statement.kind !== "match" || statement.left.kind !== "payload") return false;
  return statement.left.header === "ip" && statement.left.field === "protocol";
}

/** Of an address of the host's own both mean the same. */
function asksKindOfAddress(statement: NftStatement): boolean {
  if (statement.kind !== "match" || statement.left.kind !== "fib" || statement.left.result !== "type") return false;
  const { right } = statement;
  return right.kind === "set" || right.parts.some((part) => part !== "local");
}

function asksEitherPort(statement: NftStatement): boolean {
  if (statement.kind !== "match" || statement.left.kind !== "concat") return false;
  const fields = statement.left.parts.map((part) => (part.kind === "payload" ? part.field : ""));
  return fields.join(" ") === "sport dport";
}

function asksCt(statement: NftStatement, key: string): boolean {
  return statement.kind === "match" && isCt(statement.left, key);
}

function isCt(expression: NftExpression, key: string): boolean {
  return expression.kind === "bitwise"
    ? isCt(expression.left, key)
    : expression.kind === "ct" && expression.key === key;
}
