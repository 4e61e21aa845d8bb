import type { HostView } from "../../host/routing.ts";
import type { Match, Rule } from "../../rule-set.ts";
import { type Fraction, multiply, ONE } from "../packet/fraction.ts";
import type { PacketView, RecentNote } from "../packet/packet-view.ts";
import { evaluateMatch, inKernelOrder } from "./evaluate-match.ts";

/** A match that nobody can decide from the rules and the host's state, and why. */
export interface UnknownMatch {
  readonly match: Match;
  readonly because: string;
}

/** The chance that all matches which draw lots hold, and the first of them. */
export interface Draw {
  readonly chance: Fraction;
  readonly match: Match;
}

/** What all matches of a rule say together. */
export type RuleResult = (
  | { readonly outcome: "yes" }
  | { readonly outcome: "no"; readonly failed: Match }
  | { readonly outcome: "chance"; readonly draw: Draw }
  /** `draw` is what remains to be drawn where all that is unknown holds. */
  | { readonly outcome: "unknown"; readonly unknowns: readonly UnknownMatch[]; readonly draw: Draw | undefined }
) & {
  /** The `recent` lists after the matches were asked. */
  readonly recent: RecentNote | undefined;
};

/** Asks a rule's matches in the kernel's order until one fails. */
export function evaluateRule(rule: Rule, packet: PacketView, host: HostView): RuleResult {
  let recent = packet.recent;
  let draw: Draw | undefined;
  const unknowns: UnknownMatch[] = [];
  for (const match of inKernelOrder(rule.matches)) {
    // What a match wrote on a list, the next one of the same rule reads.
    const result = evaluateMatch(match, recent === packet.recent ? packet : { ...packet, recent }, host);
    switch (result.outcome) {
      case "no":
        return { outcome: "no", failed: match, recent };
      case "yes":
        if (result.recent !== undefined)
          recent = { ...result.recent, certain: unknowns.length === 0 && draw === undefined, earlier: recent };
        break;
      case "chance":
        draw = { chance: multiply(draw?.chance ?? ONE, result.chance), match: draw?.match ?? match };
        break;
      case "unknown":
        unknowns.push({ match, because: result.because });
        break;
    }
  }
  if (unknowns.length > 0) return { outcome: "unknown", unknowns, draw, recent };
  return draw === undefined ? { outcome: "yes", recent } : { outcome: "chance", draw, recent };
}
