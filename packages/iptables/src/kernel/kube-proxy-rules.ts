import { type Chain, type Rule, ruleKey, type Table } from "@svcproxy/rules";
import type { DesiredRules } from "../desired-rules.ts";
import { FIREWALL } from "../rule-parts/chain-names.ts";
import type { SavedRules } from "./rule-tables.ts";

/** Empty chains by whose loss kube-proxy and kubelet see that somebody flushed a table. */
const CANARIES: ReadonlySet<string> = new Set(["KUBE-PROXY-CANARY", "KUBE-KUBELET-CANARY"]);

/** Whether kube-proxy itself keeps these rules. */
export function areKubeProxys(saved: readonly SavedRules[]): boolean {
  return saved.some(({ tables }) =>
    tables.some(({ chains }) => chains.some(({ name }) => name === "KUBE-PROXY-CANARY")),
  );
}

/**
 * kube-proxy's rules without what they have beside a plan and that does nothing else: canaries, accounting (`nfacct`) and the rules that
 * are there for its sake alone, and what kubelet keeps in KUBE-FIREWALL. For a comparison, never for a change.
 */
export function withoutKubeProxysOwn(
  saved: readonly SavedRules[],
  desired: readonly DesiredRules[],
): readonly SavedRules[] {
  return saved.map((rules) => {
    const plan = desired.find(({ family }) => family === rules.family);
    return { ...rules, tables: rules.tables.map((table) => withoutOwn(table, plan)) };
  });
}

function withoutOwn(table: Table, plan: DesiredRules | undefined): Table {
  const guard = plan?.tables.find(({ name }) => name === table.name)?.chains.find(({ name }) => name === FIREWALL);
  const guarding = new Set(guard?.rules.map((rule) => ruleKey(rule)));
  return {
    ...table,
    chains: table.chains.flatMap((chain): readonly Chain[] => {
      if (CANARIES.has(chain.name)) return [];
      if (chain.name !== FIREWALL) return [{ ...chain, rules: meaningOf(chain.rules, guard !== undefined) }];
      return guard === undefined
        ? []
        : [{ ...chain, rules: chain.rules.filter((rule) => guarding.has(ruleKey(rule))) }];
    }),
  };
}

function meaningOf(rules: readonly Rule[], isGuarded: boolean): readonly Rule[] {
  const plain = rules
    .filter(({ target }) => isGuarded || target.kind !== "jump" || target.chain !== FIREWALL)
    .map(withoutAccounting);
  return plain.filter((rule, index) => {
    const next = plain[index + 1];
    return rule === rules[index] || next === undefined || !isHeldBy(rule, next);
  });
}

/** It only counts; one with a quota is not written by kube-proxy. */
function withoutAccounting(rule: Rule): Rule {
  const matches = rule.matches.filter(({ kind }) => kind !== "nfacct");
  return matches.length === rule.matches.length ? rule : { ...rule, matches };
}

/** Whether the next rule does the same to all packets of a rule, and to more. */
function isHeldBy({ matches, target }: Rule, next: Rule): boolean {
  const keyOf = (rule: Rule) => ruleKey(rule);
  if (keyOf({ matches: [], target }) !== keyOf({ matches: [], target: next.target })) return false;
  const single = (match: Rule["matches"][number]) => keyOf({ matches: [match], target });
  const own = new Set(matches.map(single));
  return next.matches.every((match) => own.has(single(match)));
}
