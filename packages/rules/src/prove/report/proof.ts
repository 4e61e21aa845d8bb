import type { Family, IpAddress } from "@svcproxy/topology";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { DeviationKind } from "./deviation.ts";

/** What is proved of a rule set, by the number that people know it by. */
export const CLAIMS = {
  1: "Every frontend reaches exactly its endpoints, each with its share",
  2: "The source is rewritten exactly when the plan says, and each reply can return the way its request came",
  3: "A frontend without usable endpoints refuses at once, or drops where they are elsewhere under policy Local",
  4: "Nothing else is touched",
  5: "Source ranges, traffic policies and affinity hold on every entry",
  6: "No foreign rule defeats any of the above",
  7: "A packet that arrives with a foreign mark is treated the same and keeps it",
  8: "No neighbour reaches 127.0.0.0/8 of this host (CVE-2020-8558)",
  9: "Error messages and fragments of served connections get through (path MTU)",
  10: "Our mark does not outlive the packet: what carries it on, such as an overlay's outer packet, would keep it",
} as const;

/** What a claim says of the rules of one family: IPv6 has one address that stands for the host itself. */
export function titleOf(number: ClaimNumber, family: Family): string {
  return number === 8 && family === 6 ? "No neighbour reaches ::1 of this host" : CLAIMS[number];
}

export type ClaimNumber = keyof typeof CLAIMS;

export const CLAIM_NUMBERS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10] as const satisfies readonly ClaimNumber[];

export type ClaimStatus = "held" | "broken" | "undecided";

/** A packet that shows what is wrong: the arguments of a trace. */
export interface ProofPacket {
  readonly from: IpAddress;
  readonly to: IpAddress;
  readonly protocol: string;
  /** Undefined for protocols without ports. */
  readonly port?: number;
  /** Undefined: any. */
  readonly sourcePort?: number;
  /** Absent: 0. */
  readonly mark?: number;
  /** Absent: NEW. */
  readonly state?: string;
}

export interface Finding {
  readonly packet: ProofPacket;
  /** A sentence: what happens to it, and what should. */
  readonly message: string;
  /** What the packet dials, in words. */
  readonly frontend?: string;
  /** The rule that decided. */
  readonly placed?: PlacedRule;
}

export interface Claim {
  readonly number: ClaimNumber;
  readonly title: string;
  readonly status: ClaimStatus;
  /** The first of the packets that break it. */
  readonly broken: readonly Finding[];
  /** The first of those for which it cannot be decided; the message names the match. */
  readonly undecided: readonly Finding[];
  /** How many more there are of either. */
  readonly more: number;
}

/** What the rules do beyond or beside the promise, by design, with a packet that shows it. */
export interface ShownDeviation {
  readonly kind: DeviationKind;
  readonly text: string;
  /** Undefined where the rules at hand do not show it. */
  readonly finding: Finding | undefined;
}

export interface Proof {
  readonly family: Family;
  readonly holds: boolean;
  readonly claims: readonly Claim[];
  readonly deviations: readonly ShownDeviation[];
  /** How many sets of packets were looked at. */
  readonly cases: number;
}
