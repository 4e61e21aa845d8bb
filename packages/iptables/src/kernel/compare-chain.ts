import { type Rule, ruleKey } from "@svcproxy/rules";
import { type Alignment, alignKeys } from "./align-rules.ts";
import { commutes, type KeyedRule } from "./commuting-rules.ts";
import { areVerySame } from "./known-chains.ts";

/** How the rules of one of our chains differ from the plan. Positions are 1-based; `plannedPosition` counts in the plan. */
export type ChainFinding =
  | { readonly kind: "missing"; readonly rule: Rule; readonly plannedPosition: number }
  | { readonly kind: "extra"; readonly rule: Rule; readonly position: number }
  | { readonly kind: "changed"; readonly rule: Rule; readonly planned: Rule; readonly position: number }
  | { readonly kind: "moved"; readonly rule: Rule; readonly position: number; readonly plannedPosition: number }
  | { readonly kind: "duplicated"; readonly rule: Rule; readonly positions: readonly number[] };

/** What tells two chains apart by meaning, in the order of the chain; empty where they are equal. */
export function compareChain(currentRules: readonly Rule[], plannedRules: readonly Rule[]): readonly ChainFinding[] {
  if (areVerySame(currentRules, plannedRules)) return [];
  const current = keyed(currentRules);
  const planned = keyed(plannedRules);
  if (current.length === planned.length && current.every(({ key }, index) => key === planned[index]?.key)) return [];

  const isReordered = current.length === planned.length && isSameBag(current, planned);
  if (isReordered && commutes(current, planned)) return [];

  const alignment = alignKeys(
    current.map(({ key }) => key),
    planned.map(({ key }) => key),
  );
  const surplus = new Set(withoutAligned(current, alignment, 0));
  const lacking = new Set(withoutAligned(planned, alignment, 1));
  const findings = [
    ...takeMoved(surplus, lacking),
    ...takeDuplicated(surplus, current, new Set(planned.map(({ key }) => key))),
    ...takeChanged(surplus, lacking, alignment),
    ...[...surplus].map(
      ({ rule, index }): Placed => ({ index, finding: { kind: "extra", rule, position: index + 1 } }),
    ),
    ...[...lacking].map(
      ({ rule, index }): Placed => ({ index, finding: { kind: "missing", rule, plannedPosition: index + 1 } }),
    ),
  ];
  return findings.sort((a, b) => a.index - b.index).map(({ finding }) => finding);
}

interface PlacedKey extends KeyedRule {
  readonly index: number;
}

function isSameBag(a: readonly KeyedRule[], b: readonly KeyedRule[]): boolean {
  const counts = new Map<string, number>();
  for (const { key } of a) counts.set(key, (counts.get(key) ?? 0) + 1);
  for (const { key } of b) counts.set(key, (counts.get(key) ?? 0) - 1);
  return [...counts.values()].every((count) => count === 0);
}

interface Placed {
  readonly index: number;
  readonly finding: ChainFinding;
}

function keyed(rules: readonly Rule[]): readonly PlacedKey[] {
  return rules.map((rule, index) => ({ rule, key: ruleKey(rule), index }));
}

function withoutAligned(rules: readonly PlacedKey[], alignment: Alignment, side: 0 | 1): readonly PlacedKey[] {
  const aligned = new Set(alignment.map((pair) => pair[side]));
  return rules.filter(({ index }) => !aligned.has(index));
}

function takeMoved(surplus: Set<PlacedKey>, lacking: Set<PlacedKey>): readonly Placed[] {
  const places = groupBy(lacking, ({ key }) => [key]);
  return [...surplus].flatMap((found) => {
    const planned = places.get(found.key)?.shift();
    if (planned === undefined) return [];
    surplus.delete(found);
    lacking.delete(planned);
    const { rule, index } = found;
    return [{ index, finding: { kind: "moved", rule, position: index + 1, plannedPosition: planned.index + 1 } }];
  });
}

function takeDuplicated(
  surplus: Set<PlacedKey>,
  current: readonly PlacedKey[],
  planned: ReadonlySet<string>,
): readonly Placed[] {
  const copies = groupBy(current, ({ key }) => (planned.has(key) ? [key] : []));
  const told = new Set<string>();
  return [...surplus].flatMap((found) => {
    const { rule, key, index } = found;
    if (!planned.has(key)) return [];
    surplus.delete(found);
    if (told.has(key)) return [];
    told.add(key);
    const positions = (copies.get(key) ?? []).map((copy) => copy.index + 1);
    return [{ index, finding: { kind: "duplicated", rule, positions } }];
  });
}

/** A rule that stands where a planned one is lacking, and has its test or its target, is what became of it. */
function takeChanged(surplus: Set<PlacedKey>, lacking: Set<PlacedKey>, alignment: Alignment): readonly Placed[] {
  const likeness = (side: 0 | 1) => {
    const gapOf = gapFinder(alignment.map((pair) => pair[side]));
    return ({ rule, index }: PlacedKey) => {
      const test = ruleKey({ matches: rule.matches, target: { kind: "none" } });
      const target = ruleKey({ matches: [], target: rule.target });
      return [`${gapOf(index)} test ${test}`, `${gapOf(index)} target ${target}`];
    };
  };
  const like = likeness(0);
  const candidates = groupBy(lacking, likeness(1));
  return [...surplus].flatMap((found) => {
    const planned = like(found)
      .flatMap((key) => candidates.get(key) ?? [])
      .find((candidate) => lacking.has(candidate));
    if (planned === undefined) return [];
    surplus.delete(found);
    lacking.delete(planned);
    const { rule, index } = found;
    return [{ index, finding: { kind: "changed", rule, planned: planned.rule, position: index + 1 } }];
  });
}

/** Number of the gap between lined-up places that holds an index. */
function gapFinder(places: readonly number[]): (index: number) => number {
  return (index) => {
    let [low, high] = [0, places.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((places[middle] ?? Infinity) < index) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

function groupBy(rules: Iterable<PlacedKey>, keysOf: (rule: PlacedKey) => readonly string[]): Map<string, PlacedKey[]> {
  const groups = new Map<string, PlacedKey[]>();
  for (const rule of rules) {
    for (const key of keysOf(rule)) {
      const group = groups.get(key);
      if (group === undefined) groups.set(key, [rule]);
      else group.push(rule);
    }
  }
  return groups;
}
