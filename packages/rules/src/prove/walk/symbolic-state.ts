import type { Route } from "../../host/host-state.ts";
import type { PlacedRule } from "../../rule-set.ts";
import type { AddressedField, Region } from "../space/region.ts";

/**
 * A header field now: what a field of the region was when the packet entered (an answer's source is its request's
 * destination), one value that a rule gave it, or a value that is not known.
 */
export type Field = AddressedField | "unknown" | number;

/** A mark now: `(entered & kept) ^ flipped`. */
export interface MarkNow {
  readonly kept: number;
  readonly flipped: number;
}

/** All packets of a region, part way through the host: what was done to all of them alike. */
export interface SymbolicState {
  readonly region: Region;
  readonly source: Field;
  readonly destination: Field;
  readonly sourcePort: Field;
  readonly destinationPort: Field;
  readonly mark: MarkNow;
  /** Undefined: not known. */
  readonly connectionMark: MarkNow | undefined;
  readonly direction: "ORIGINAL" | "REPLY";
  /** Whether conntrack has seen it: before, it counts as INVALID; `untracked` was kept from it. */
  readonly conntrack: "unseen" | "tracked" | "untracked";
  /** Whether the host itself sent it. */
  readonly isLocal: boolean;
  /** `bySource`: the one behind which its source lives. Undefined: none. */
  readonly inInterface: "bySource" | { readonly name: string } | undefined;
  readonly outInterface: string | undefined;
  /** As the last routing decision said. */
  readonly route: Route | undefined;
  /** What set up a new destination, and a new source. */
  readonly destinationNat: PlacedRule | undefined;
  readonly sourceNat: PlacedRule | undefined;
  readonly natDone: readonly ("source" | "destination")[];
  /** Of coming this way, for every packet of the region. */
  readonly probability: number;
  /** Answers assumed to questions that nothing decides, the latest first. */
  readonly assumptions: Assumption | undefined;
  /** Names of `recent` lists that it was written on, the latest first. */
  readonly remembered: Remembered | undefined;
  /** The rules that decided on its way, the latest first. */
  readonly decisions: Decision | undefined;
}

export interface Assumption {
  readonly question: Question;
  readonly holds: boolean;
  readonly earlier: Assumption | undefined;
}

export interface Question {
  readonly placed: PlacedRule;
  /** Equal for askings that have one answer. */
  readonly key: string;
  /** The match as text. */
  readonly text: string;
  /** Set for `recent`: which list, and for how long. */
  readonly recent?: { readonly list: string; readonly seconds: number | undefined };
}

export interface Remembered {
  readonly list: string;
  readonly earlier: Remembered | undefined;
}

export interface Decision {
  readonly placed: PlacedRule;
  readonly earlier: Decision | undefined;
}

/** How the packets of a state end. */
export type SymbolicEnding =
  /** Handed to a program on this host (`outInterface` undefined) or sent out. */
  | { readonly kind: "delivered" }
  | { readonly kind: "refused"; readonly because: string; readonly placed?: PlacedRule }
  | { readonly kind: "dropped"; readonly because: string; readonly placed?: PlacedRule }
  | { readonly kind: "undecided"; readonly because: string; readonly placed?: PlacedRule };

export interface EndedState {
  readonly state: SymbolicState;
  readonly ending: SymbolicEnding;
}
