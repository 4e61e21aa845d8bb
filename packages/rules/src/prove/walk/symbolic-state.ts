import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Route } from "../../host/host-state.ts";
import type { NftData } from "../../nft/nft-rule-set.ts";
import type { RefusalAnswer } from "../../trace/walk/refusal-answer.ts";
import type { IndexSet } from "../space/index-set.ts";
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
  /** Set where the packet was given a mark that nobody knows: its way cannot be followed any further. */
  readonly isMarkUnknown?: true;
  /** Undefined: not known. */
  readonly connectionMark: MarkNow | undefined;
  /** The byte of the type of service, of which nothing is known when a packet enters. */
  readonly tos: MarkNow;
  /** What was done to the TTL, the latest last: equal for states whose packets had the same done to theirs. */
  readonly ttl: string;
  /** `meta priority`, by which rules of nftables keep what they found out of the packet. */
  readonly priority: number | "unknown";
  readonly direction: "ORIGINAL" | "REPLY";
  /** The conntrack zone in which answers are looked for: those to this packet, or this one where it is an answer. */
  readonly replyZone: number | "unknown";
  /** The one in which the first of a connection is looked for, and errors about answers. */
  readonly originalZone: number | "unknown";
  /** Set for an answer, and for an error about a known connection: the zone in which the connection of its request awaits it; `none` where conntrack knows no such. */
  readonly awaitedIn?: number | "unknown" | "none";
  /** Set for what tells a client that its packet is refused: an answer with a protocol of its own. */
  readonly refusal?: { readonly protocol: number; readonly icmp?: { readonly type: number; readonly code: number } };
  /** Set for what belongs to a connection whose translation is known: what NAT maps it to. */
  readonly follows?: { readonly source: Field; readonly destination: Field };
  /** ICMP errors of which only that they belong to a connection is known: their own addresses are not those of it. */
  readonly isErrorAbout?: true;
  /** Its connection began where it goes to: what its region has as its source was the destination of the first packet. */
  readonly entersSwapped?: true;
  /**
   * Whether conntrack has seen it: before, it counts as INVALID, and once a rule has said in which zone it is to be looked
   * for as NEW (`template`); `untracked` was kept from it.
   */
  readonly conntrack: "unseen" | "template" | "tracked" | "untracked";
  /** Whether the host itself sent it. */
  readonly isLocal: boolean;
  /** `bySource`: the one behind which its source lives, by what is behind each. Undefined: none. */
  readonly inInterface: InInterface | undefined;
  readonly outInterface: string | undefined;
  /** As the last routing decision said. */
  readonly route: Route | undefined;
  /** What set up a new destination, and a new source. */
  readonly destinationNat: PlacedRule | undefined;
  readonly sourceNat: PlacedRule | undefined;
  readonly natDone: readonly ("source" | "destination")[];
  /** Whether a chain of NAT looks at it: then no translation of its connection was set up but by those before. */
  readonly isInNat: boolean;
  /** Of coming this way, for every packet of the region. */
  readonly probability: number;
  /** Answers assumed to questions that nothing decides, the latest first. */
  readonly assumptions: Assumption | undefined;
  /** Names of `recent` lists that it was written on, the latest first. */
  readonly remembered: Remembered | undefined;
  /** What rules of nftables wrote of it on sets, the latest first. */
  readonly written: WrittenElement | undefined;
  /** The rules that decided on its way, the latest first. */
  readonly decisions: Decision | undefined;
  /** The rules of iptables by which they came into chains, the latest first; kept where rule sets are compared. */
  readonly jumps?: Decision | undefined;
  /** What targets did besides to others than the packet's way, as texts, the latest first; kept where rule sets are compared. */
  readonly deeds: Deed | undefined;
}

export type InInterface =
  | { readonly kind: "bySource"; readonly arriving: ReadonlyMap<string, IndexSet> }
  | { readonly kind: "named"; readonly name: string };

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
  /** Set for `recent`: what is asked of which list. */
  readonly recent?: RecentFact;
}

/** That a list has an address of the packet, as one `recent` match asks it. */
export interface RecentFact {
  readonly list: string;
  readonly side: "source" | "destination";
  readonly seconds: number | undefined;
  readonly hitCount: number | undefined;
  readonly rttl: boolean;
}

/** That an address of the packet was written on a list. */
export interface Remembered {
  readonly list: string;
  readonly side: "source" | "destination";
  readonly earlier: Remembered | undefined;
}

/** An element of a set that a rule wrote, or took away. */
export interface WrittenElement {
  /** With its table. */
  readonly set: string;
  /** Undefined: which one is not known. */
  readonly key: string | undefined;
  readonly is: "gone" | "unknown" | { readonly data: NftData | undefined };
  readonly earlier: WrittenElement | undefined;
}

export interface Decision {
  readonly placed: PlacedRule;
  readonly earlier: Decision | undefined;
}

export interface Deed {
  readonly text: string;
  readonly earlier: Deed | undefined;
}

/** How the packets of a state end. */
export type SymbolicEnding =
  /** Handed to a program on this host (`outInterface` undefined) or sent out. */
  | { readonly kind: "delivered" }
  | {
      readonly kind: "refused";
      readonly because: string;
      readonly answer: RefusalAnswer;
      readonly placed?: PlacedRule;
    }
  | {
      readonly kind: "dropped";
      readonly because: string;
      readonly placed?: PlacedRule;
      /** The table, where no rule but a base chain's policy does it. */
      readonly policyOf?: string;
    }
  | {
      readonly kind: "undecided";
      readonly because: string;
      readonly placed?: PlacedRule;
      /** There are rules of others that nobody could read. */
      readonly isUnread?: true;
    };

export interface EndedState {
  readonly state: SymbolicState;
  readonly ending: SymbolicEnding;
}
