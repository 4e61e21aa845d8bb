import type { Fraction } from "../packet/fraction.ts";
import type { RecentNote } from "../packet/packet-view.ts";

/** What one match, or a whole rule's matches, say of one packet: true, false, true by a known chance, or not known. */
export type MatchResult =
  /** `recent` is what it wrote on a list, `label` what it gave the connection. */
  | {
      readonly outcome: "yes";
      readonly recent?: Omit<RecentNote, "earlier" | "certain">;
      readonly label?: string;
    }
  | { readonly outcome: "no"; readonly label?: string }
  | { readonly outcome: "chance"; readonly chance: Fraction }
  | { readonly outcome: "unknown"; readonly because: string };

export const YES: MatchResult = { outcome: "yes" };
export const NO: MatchResult = { outcome: "no" };

/** Yes or no, for certain. */
export function decided(holds: boolean): MatchResult {
  return holds ? YES : NO;
}

/** Neither yes nor no. @param because what of the packet or the host would have to be known, for people */
export function unknown(because: string): MatchResult {
  return { outcome: "unknown", because };
}

/** The result behind `!`; an unknown stays unknown. */
export function negate(result: MatchResult, negated: boolean): MatchResult {
  if (!negated || result.outcome === "unknown" || result.outcome === "chance") return result;
  return decided(result.outcome === "no");
}

/** All must hold: the first `no` decides, else the first `unknown`. For results without chances and notes. */
export function allOf(results: readonly MatchResult[]): MatchResult {
  return results.find(({ outcome }) => outcome === "no") ?? results.find(({ outcome }) => outcome === "unknown") ?? YES;
}

/** One must hold: the first `yes` decides, else the first `unknown`. */
export function anyOf(results: readonly MatchResult[]): MatchResult {
  return results.find(({ outcome }) => outcome === "yes") ?? results.find(({ outcome }) => outcome === "unknown") ?? NO;
}
