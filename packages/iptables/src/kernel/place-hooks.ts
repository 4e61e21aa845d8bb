import { type Rule, ruleKey } from "@svcproxy/rules";
import type { Hook } from "../desired-rules.ts";
import type { BuiltInEntry } from "./owned-table.ts";

/** What has to happen in one built-in chain for our rules to be there once and in their place. */
export interface HookPlacement {
  /** Rules of ours to delete, each as the kernel has it, one deletion for each copy. */
  readonly deletions: readonly Rule[];
  /** In this order, after the deletions. */
  readonly insertions: readonly HookInsertion[];
  readonly findings: readonly HookFinding[];
}

export interface HookInsertion {
  /** 1-based; undefined: at the end. */
  readonly position: number | undefined;
  readonly rule: Rule;
}

/** Positions are 1-based places in the kernel's chain. */
export type HookFinding =
  | { readonly kind: "missing"; readonly rule: Rule }
  | { readonly kind: "extra"; readonly rule: Rule; readonly position: number }
  | { readonly kind: "changed"; readonly rule: Rule; readonly planned: Rule; readonly position: number }
  | { readonly kind: "duplicated"; readonly rule: Rule; readonly positions: readonly number[] }
  /** `plannedPosition`: where it will stand. */
  | { readonly kind: "moved"; readonly rule: Rule; readonly position: number; readonly plannedPosition: number }
  | { readonly kind: "foreignBefore"; readonly rule: Rule; readonly foreign: Rule; readonly position: number };

export interface PlaceOptions {
  /** In the order in which they are written. */
  readonly hooks: readonly Hook[];
  /** Whether this foreign rule can take packets that the hook is for. */
  readonly takes: (foreign: Rule, hook: Hook) => boolean;
}

/**
 * Rules with placement `first` stand before every other one. The rest stay where they are, or go to the end, unless a
 * foreign rule before them can take their packets: then they go before it. Foreign rules are never touched.
 */
export function placeHooks(entries: readonly BuiltInEntry[], { hooks, takes }: PlaceOptions): HookPlacement {
  const foreign = entries.filter(({ isOurs }) => !isOurs).map(({ rule }) => rule);
  const places = findPlaces(entries, hooks);
  const wanted = chooseSlots(places, {
    foreignCount: foreign.length,
    limitOf: (place) => limitOf(place, { foreign, takes }),
  });
  const kept = keptPlaces(wanted);
  const planned = new Set(places.map(({ key }) => key));
  const rebuilt = new Set(wanted.filter((place) => !kept.has(place)).map(({ key }) => key));
  return {
    deletions: entries
      .filter(({ isOurs, key }) => isOurs && (!planned.has(key) || rebuilt.has(key)))
      .map(({ rule }) => rule),
    insertions: insertionsFor(wanted, { kept, foreignCount: foreign.length }),
    findings: pairChanged([
      ...wanted.flatMap((place, index) =>
        findingsFor(place, { kept, takes, entries, plannedPosition: positionOf(place, index) }),
      ),
      ...entries.flatMap(({ rule, key, isOurs }, index): HookFinding[] =>
        isOurs && !planned.has(key) ? [{ kind: "extra", rule, position: index + 1 }] : [],
      ),
    ]),
  };
}

/** A rule too many that leads where a missing one led is what became of it. */
function pairChanged(findings: readonly HookFinding[]): readonly HookFinding[] {
  const left = new Set(findings);
  const targetOf = ({ rule }: HookFinding) => ruleKey({ matches: [], target: rule.target });
  return findings
    .map((finding) => {
      if (finding.kind !== "missing") return finding;
      const found = [...left].find((other) => other.kind === "extra" && targetOf(other) === targetOf(finding));
      if (found?.kind !== "extra") return finding;
      left.delete(found);
      left.delete(finding);
      const changed: HookFinding = { ...found, kind: "changed", planned: finding.rule };
      left.add(changed);
      return changed;
    })
    .filter((finding) => left.has(finding));
}

interface HookPlace {
  readonly hook: Hook;
  readonly key: string;
  /** 0-based places in the chain of the copies that are ours. */
  readonly copies: readonly number[];
  /** Number of foreign rules before the first copy. */
  readonly foreignBefore: number;
}

interface WantedPlace extends HookPlace {
  /** Number of foreign rules that are to stand before it. */
  readonly slot: number;
}

/** The hooks in the order in which they are to stand: what is written first by `-I CHAIN 1` ends up last of those. */
function findPlaces(entries: readonly BuiltInEntry[], hooks: readonly Hook[]): readonly HookPlace[] {
  const ordered = [
    ...hooks.filter(({ placement }) => placement === "first").reverse(),
    ...hooks.filter(({ placement }) => placement === "last"),
  ];
  return ordered.map((hook) => {
    const key = ruleKey(hook.rule);
    const copies = [...entries.keys()].filter((index) => entries[index]?.isOurs && entries[index].key === key);
    const foreignBefore = entries.slice(0, copies[0] ?? entries.length).filter(({ isOurs }) => !isOurs).length;
    return { hook, key, copies, foreignBefore };
  });
}

interface ForeignRules {
  readonly foreign: readonly Rule[];
  readonly takes: PlaceOptions["takes"];
}

/** How many foreign rules may stand before the hook. */
function limitOf({ hook }: HookPlace, { foreign, takes }: ForeignRules): number {
  if (hook.placement === "first") return 0;
  const taker = foreign.findIndex((rule) => takes(rule, hook));
  return taker < 0 ? foreign.length : taker;
}

function chooseSlots(
  places: readonly HookPlace[],
  { foreignCount, limitOf }: { foreignCount: number; limitOf: (place: HookPlace) => number },
): readonly WantedPlace[] {
  // From the end: whatever stands before a rule of ours that has to move up moves up with it.
  let ceiling = foreignCount;
  return places
    .toReversed()
    .map((place) => {
      ceiling = Math.min(ceiling, place.foreignBefore, limitOf(place));
      return { ...place, slot: ceiling };
    })
    .reverse();
}

/** Those that are there once, between the right foreign rules, and in order among themselves. */
function keptPlaces(wanted: readonly WantedPlace[]): ReadonlySet<WantedPlace> {
  const kept = new Set<WantedPlace>();
  let last = -1;
  for (const place of wanted) {
    const [copy, ...more] = place.copies;
    if (copy === undefined || more.length > 0 || place.foreignBefore !== place.slot || copy < last) continue;
    kept.add(place);
    last = copy;
  }
  return kept;
}

/** 1-based place in the chain of the hook that comes after `index` others of ours, once all are there. */
function positionOf({ slot }: WantedPlace, index: number): number {
  return slot + index + 1;
}

function insertionsFor(
  wanted: readonly WantedPlace[],
  { kept, foreignCount }: { kept: ReadonlySet<WantedPlace>; foreignCount: number },
): readonly HookInsertion[] {
  const insertions: HookInsertion[] = [];
  for (const [index, place] of wanted.entries()) {
    if (kept.has(place)) continue;
    const isLast =
      place.hook.placement === "last" &&
      place.slot === foreignCount &&
      !wanted.slice(index + 1).some((later) => kept.has(later));
    insertions.push({ position: isLast ? undefined : positionOf(place, index), rule: place.hook.rule });
  }
  return insertions;
}

function findingsFor(
  place: WantedPlace,
  {
    kept,
    takes,
    entries,
    plannedPosition,
  }: Pick<PlaceOptions, "takes"> & {
    kept: ReadonlySet<WantedPlace>;
    entries: readonly BuiltInEntry[];
    plannedPosition: number;
  },
): readonly HookFinding[] {
  const { hook, copies } = place;
  const { rule } = hook;
  const [first, ...more] = copies;
  if (first === undefined) return [{ kind: "missing", rule }];
  const findings: HookFinding[] = [];
  if (more.length > 0) findings.push({ kind: "duplicated", rule, positions: copies.map((copy) => copy + 1) });
  for (const [index, { rule: other, isOurs }] of entries.slice(0, first).entries()) {
    if (isOurs || !(hook.placement === "first" || takes(other, hook))) continue;
    findings.push({ kind: "foreignBefore", rule, foreign: other, position: index + 1 });
  }
  if (findings.length === 0 && !kept.has(place)) {
    findings.push({ kind: "moved", rule, position: first + 1, plannedPosition });
  }
  return findings;
}
