import { formatRule, type Rule } from "@svcproxy/rules";
import { type Family, unreachable, visible } from "@svcproxy/topology";
import type { ChainFinding } from "./compare-chain.ts";
import type { TableComparison } from "./compare-table.ts";
import { isMark } from "./own-chains.ts";
import type { HookFinding } from "./place-hooks.ts";
import type { FamilyDifference } from "./rule-backend.ts";

/** One thing that tells the kernel from the plan. Rules are text as `iptables-save` prints it; positions are 1-based. */
export type Difference = {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
} & (
  | { readonly kind: "missing-chain"; readonly plannedRules: readonly string[] }
  /** There, but without a rule. */
  | { readonly kind: "flushed-chain"; readonly plannedRules: readonly string[] }
  /** `heldBy`: the foreign chain whose rule keeps it from being deleted. */
  | { readonly kind: "extra-chain"; readonly rules: readonly string[]; readonly heldBy?: string }
  | { readonly kind: "missing-rule"; readonly plannedRule: string; readonly plannedPosition?: number }
  | { readonly kind: "extra-rule"; readonly rule: string; readonly position: number }
  | { readonly kind: "changed-rule"; readonly rule: string; readonly plannedRule: string; readonly position: number }
  | { readonly kind: "moved-rule"; readonly rule: string; readonly position: number; readonly plannedPosition: number }
  | { readonly kind: "duplicated-rule"; readonly rule: string; readonly positions: readonly number[] }
  /** `rule` is somebody else's, and can take packets that `ourRule` waits for. */
  | { readonly kind: "foreign-rule-before"; readonly rule: string; readonly ourRule: string; readonly position: number }
);

/** Marks are passed over: they say whose the rules are, not what the rules do. */
export function listDifferences(families: readonly FamilyDifference[]): readonly Difference[] {
  return families.flatMap(({ family, tables }) => tables.flatMap((comparison) => tableDifferences(comparison, family)));
}

function tableDifferences(comparison: TableComparison, family: Family): readonly Difference[] {
  const { missingChains, extraChains, changedChains, placements } = comparison;
  const table = comparison.table.name;
  const text = (chain: string) => (rule: Rule) => ruleLine(rule, { chain, family });
  return [
    ...[...placements].flatMap(([chain, { findings }]) =>
      findings.map((finding): Difference => ({ family, table, chain, ...hookDifference(finding, text(chain)) })),
    ),
    ...missingChains.map(
      ({ name, rules }): Difference => ({
        ...{ family, table, chain: name, kind: "missing-chain" },
        plannedRules: rules.map(text(name)),
      }),
    ),
    ...changedChains.flatMap(({ planned: { name, rules }, findings }): readonly Difference[] =>
      comparison.table.ownChains.get(name)?.rules.length === 0
        ? [{ family, table, chain: name, kind: "flushed-chain", plannedRules: rules.map(text(name)) }]
        : findings.map((finding) => ({ family, table, chain: name, ...ruleDifference(finding, text(name)) })),
    ),
    ...extraChains.flatMap(({ chain: { name, rules }, heldBy }): readonly Difference[] => {
      const place = { family, table, chain: name };
      if (isMark(name)) {
        return rules.map((rule, index) => ({
          ...place,
          kind: "extra-rule",
          rule: text(name)(rule),
          position: index + 1,
        }));
      }
      return [
        { ...place, kind: "extra-chain", rules: rules.map(text(name)), ...(heldBy === undefined ? {} : { heldBy }) },
      ];
    }),
  ];
}

type Detail = Difference extends infer Each
  ? Each extends Difference
    ? Omit<Each, "family" | "table" | "chain">
    : never
  : never;

function hookDifference(finding: HookFinding, text: (rule: Rule) => string): Detail {
  const rule = text(finding.rule);
  switch (finding.kind) {
    case "missing":
      return { kind: "missing-rule", plannedRule: rule };
    case "extra":
      return { kind: "extra-rule", rule, position: finding.position };
    case "changed":
      return { kind: "changed-rule", rule, plannedRule: text(finding.planned), position: finding.position };
    case "duplicated":
      return { kind: "duplicated-rule", rule, positions: finding.positions };
    case "moved":
      return { kind: "moved-rule", rule, position: finding.position, plannedPosition: finding.plannedPosition };
    case "foreignBefore":
      return { kind: "foreign-rule-before", rule: text(finding.foreign), ourRule: rule, position: finding.position };
    default:
      return unreachable(finding);
  }
}

function ruleDifference(finding: ChainFinding, text: (rule: Rule) => string): Detail {
  const rule = text(finding.rule);
  switch (finding.kind) {
    case "missing":
      return { kind: "missing-rule", plannedRule: rule, plannedPosition: finding.plannedPosition };
    case "extra":
      return { kind: "extra-rule", rule, position: finding.position };
    case "changed":
      return { kind: "changed-rule", rule, plannedRule: text(finding.planned), position: finding.position };
    case "moved":
      return { kind: "moved-rule", rule, position: finding.position, plannedPosition: finding.plannedPosition };
    case "duplicated":
      return { kind: "duplicated-rule", rule, positions: finding.positions };
    default:
      return unreachable(finding);
  }
}

function ruleLine(rule: Rule, { chain, family }: { chain: string; family: Family }): string {
  const text = formatRule(rule, { style: "save", family });
  return text === "" ? `-A ${chain}` : `-A ${chain} ${text}`;
}

/** For people: by chain, `-` before what the kernel has and the plan has not, `+` before the reverse. Empty where all is equal. */
export function formatDifferences(differences: readonly Difference[]): string {
  const lines: string[] = [];
  let chain = "";
  for (const difference of differences) {
    const place = `IPv${difference.family} ${difference.table} ${difference.chain}`;
    if (place !== chain) lines.push(`@@ ${place} @@`);
    chain = place;
    lines.push(...describeDifference(difference));
  }
  return lines.map((line) => `${visible(line)}\n`).join("");
}

/** What it is, and the rules that it is about. */
export function describeDifference(difference: Difference): readonly string[] {
  switch (difference.kind) {
    case "missing-chain":
      return ["chain is missing:", ...difference.plannedRules.map(planned)];
    case "flushed-chain":
      return ["chain was flushed, these rules are missing:", ...difference.plannedRules.map(planned)];
    case "extra-chain":
      return [
        `chain is not in the plan${difference.heldBy === undefined ? "" : ` (it has to stay: foreign chain ${difference.heldBy} jumps to it)`}:`,
        ...difference.rules.map(found),
      ];
    case "missing-rule": {
      const place = difference.plannedPosition === undefined ? "" : ` (rule ${difference.plannedPosition} of the plan)`;
      return [`rule is missing${place}:`, planned(difference.plannedRule)];
    }
    case "extra-rule":
      return [`rule ${difference.position} is foreign, the plan does not have it:`, found(difference.rule)];
    case "changed-rule":
      return [`rule ${difference.position} was changed:`, found(difference.rule), planned(difference.plannedRule)];
    case "moved-rule":
      return [
        `rule ${difference.position} was moved, the plan has it at ${difference.plannedPosition}:`,
        `  ${difference.rule}`,
      ];
    case "duplicated-rule":
      return [
        `rule is there ${difference.positions.length} times, at ${difference.positions.join(", ")}:`,
        found(difference.rule),
      ];
    case "foreign-rule-before":
      return [
        `foreign rule ${difference.position} is asked before ours, and can take its packets:`,
        `! ${difference.rule}`,
        `  ${difference.ourRule}`,
      ];
    default:
      return unreachable(difference);
  }
}

function planned(rule: string): string {
  return `+ ${rule}`;
}

function found(rule: string): string {
  return `- ${rule}`;
}
