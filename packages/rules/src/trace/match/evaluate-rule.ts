import type { HostView } from "../../host/routing.ts";
import type { Match } from "../../match.ts";
import type { Rule } from "../../rule-set.ts";
import { type Fraction, multiply, ONE } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
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
  /** The packet after the matches were asked: what they wrote on lists and on the connection. */
  readonly packet: PacketView;
};

/** Asks a rule's matches in the kernel's order until one fails. What a match wrote, the next one of the same rule reads. */
export function evaluateRule(rule: Rule, entering: PacketView, host: HostView): RuleResult {
  let packet = entering;
  let draw: Draw | undefined;
  const unknowns: UnknownMatch[] = [];
  for (const match of inKernelOrder(rule.matches)) {
    const result = evaluateMatch(match, packet, host);
    const isCertain = unknowns.length === 0 && draw === undefined;
    if ("label" in result && result.label !== undefined) packet = withLabel(packet, result.label, isCertain);
    switch (result.outcome) {
      case "no":
        return { outcome: "no", failed: match, packet };
      case "yes":
        if (result.recent !== undefined)
          packet = { ...packet, recent: { ...result.recent, certain: isCertain, earlier: packet.recent } };
        break;
      case "chance":
        draw = { chance: multiply(draw?.chance ?? ONE, result.chance), match: draw?.match ?? match };
        break;
      case "unknown":
        unknowns.push({ match, because: result.because });
        break;
    }
  }
  if (unknowns.length > 0) return { outcome: "unknown", unknowns, draw, packet };
  return draw === undefined ? { outcome: "yes", packet } : { outcome: "chance", draw, packet };
}

/** A label that was perhaps given leaves it open which ones the connection has. */
function withLabel(packet: PacketView, label: string, isCertain: boolean): PacketView {
  const { connection } = packet;
  if (connection === undefined) return packet;
  const labels = isCertain && connection.labels !== undefined ? new Set([...connection.labels, label]) : undefined;
  return { ...packet, connection: { ...connection, labels } };
}
