import type { Match, Rule } from "../rule-set.ts";
import { evaluateMatch, inKernelOrder } from "./evaluate-match.ts";
import { type Fraction, multiply, ONE } from "./fraction.ts";
import type { HostView, PacketView, RecentNote } from "./packet-view.ts";

/** What all matches of a rule say together. */
export type RuleResult = (
  | { readonly outcome: "yes" }
  | { readonly outcome: "no"; readonly failed: Match }
  | { readonly outcome: "chance"; readonly chance: Fraction; readonly match: Match }
  /** `chance` is what remains to be drawn where the unknown match holds. */
  | { readonly outcome: "unknown"; readonly match: Match; readonly because: string; readonly chance: Fraction }
) & {
  /** The `recent` lists after the matches were asked. */
  readonly recent: RecentNote | undefined;
};

/** Asks a rule's matches in the kernel's order until one fails. */
export function evaluateRule(rule: Rule, packet: PacketView, host: HostView): RuleResult {
  let recent = packet.recent;
  let chance = ONE;
  let drawn: Match | undefined;
  let undecided: { readonly match: Match; readonly because: string } | undefined;
  for (const match of inKernelOrder(rule.matches)) {
    // What a match wrote on a list, the next one of the same rule reads.
    const result = evaluateMatch(match, recent === packet.recent ? packet : { ...packet, recent }, host);
    switch (result.outcome) {
      case "no":
        return { outcome: "no", failed: match, recent };
      case "yes":
        if (result.recent !== undefined)
          recent = { ...result.recent, certain: undecided === undefined && drawn === undefined, earlier: recent };
        break;
      case "chance":
        chance = multiply(chance, result.chance);
        drawn ??= match;
        break;
      case "unknown":
        undecided ??= { match, because: result.because };
        break;
    }
  }
  if (undecided !== undefined) return { outcome: "unknown", ...undecided, chance, recent };
  return drawn === undefined ? { outcome: "yes", recent } : { outcome: "chance", chance, match: drawn, recent };
}
