import type { AnyMatch, AnyRule } from "../../hooks/any-rule.ts";
import type { Route } from "../../host/host-state.ts";
import type { Hook, RulePosition } from "../../rule-set.ts";
import type { Fraction } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import type { RefusalAnswer } from "./refusal-answer.ts";

/** One way that a packet may go: everything that may differ between two ways. A value; a fork shares its past. */
export interface WalkState {
  readonly packet: PacketView;
  /** Of coming this far, given the assumptions. */
  readonly probability: Fraction;
  /** What was assumed to come this way, the latest first. */
  readonly assumptions: Assumption | undefined;
  /** What happened so far, the latest first. */
  readonly past: Past | undefined;
  readonly destinationNat?: NatNote;
  readonly sourceNat?: NatNote;
  /** Which ends of the connection the nat table has decided on. */
  readonly natDone?: readonly ("source" | "destination")[];
  /** As the last routing decision said. */
  readonly route?: Route;
}

/** An answer to a question that nobody can answer from the rules and the host's state. */
export interface Assumption {
  readonly question: Question;
  /** 0: it matches, 1: it does not; or which of several outcomes. */
  readonly answer: number;
  readonly earlier: Assumption | undefined;
}

export interface Question {
  /** Undefined, like the rule, where it is the order of chains that is not known. */
  readonly position: RulePosition | undefined;
  readonly rule: AnyRule | undefined;
  /** The match that could not be decided; undefined where it is the target. */
  readonly match: AnyMatch | undefined;
  readonly because: string;
  /** How many answers there are. */
  readonly answers: number;
  /** What each answer says, where it is the order of chains. */
  readonly orders?: readonly string[];
  /** As it was when the question came up. */
  readonly packet: PacketView;
  /** The probability with which the question comes up, given the assumptions before it. */
  readonly reached: Fraction;
  /** What happened before it came up. */
  readonly past: Past | undefined;
}

/** Which rule set up a translation. */
export interface NatNote extends RulePosition {
  readonly rule: AnyRule;
  /** Whether the rule is the service proxy's own. */
  readonly isOwn: boolean;
}

export interface Past {
  readonly event: WalkEvent;
  readonly earlier: Past | undefined;
}

/** One thing that happened on the way. */
export type WalkEvent =
  | { readonly kind: "hook"; readonly hook: Hook; readonly packet: PacketView }
  | { readonly kind: "note"; readonly text: string }
  /** Conntrack mapped an answer back. */
  | { readonly kind: "translatedBack"; readonly text: string; readonly packet: PacketView }
  | RuleEvent
  /** Neighbouring rules none of which took the packet. */
  | {
      readonly kind: "misses";
      readonly table: string;
      readonly chain: string;
      readonly depth: number;
      readonly first: number;
      readonly last: number;
      /** How many of them might have taken it, and did not by chance. */
      readonly byChance: number;
      /** Each rule with the condition that failed, while they are few. */
      readonly rules: readonly MissedRule[];
    }
  | {
      readonly kind: "chainEnd";
      readonly table: string;
      readonly chain: string;
      readonly depth: number;
      readonly policy?: "ACCEPT" | "DROP";
    };

export interface MissedRule {
  readonly number: number;
  readonly rule: AnyRule;
  readonly failed: AnyMatch;
  /** The chance of the match that was drawn and lost; undefined where it could not hold. */
  readonly lost?: Fraction;
}

export interface RuleEvent extends RulePosition {
  readonly kind: "rule";
  /** How many jumps deep, 0 in a built-in chain. */
  readonly depth: number;
  readonly rule: AnyRule;
  readonly outcome:
    | { readonly kind: "matched" }
    | { readonly kind: "chance"; readonly chance: Fraction; readonly match: AnyMatch }
    | { readonly kind: "assumed"; readonly took: boolean; readonly because: string }
    /** Not decided, and it makes no difference to the packet's way. */
    | { readonly kind: "immaterial"; readonly because: string };
  /** The packet before and after, where the rule changed it. */
  readonly before: PacketView;
  readonly after: PacketView;
}

/** The state with one more event behind it; the one before stays as it is. */
export function withEvent(state: WalkState, event: WalkEvent): WalkState {
  return { ...state, past: { event, earlier: state.past } };
}

/** The state with a note for people behind it. */
export function withNote(state: WalkState, text: string): WalkState {
  return withEvent(state, { kind: "note", text });
}

/** How a way ends. */
export type Ending =
  /** Handed to a program on this host. */
  | { readonly kind: "delivered"; readonly to: "host" }
  /** Left by an interface. */
  | { readonly kind: "delivered"; readonly to: "interface"; readonly interface: string; readonly nextHop: string }
  | { readonly kind: "dropped"; readonly because: string; readonly fact?: HostFact }
  | {
      readonly kind: "refused";
      readonly because: string;
      readonly answer: RefusalAnswer;
      readonly fact?: HostFact;
    }
  | { readonly kind: "undecided"; readonly because: string };

/** What of a host, beside its rules, ends a way; a rule or a policy does where there is none. */
export type HostFact =
  | "not-forwarding"
  | "no-route"
  | "route-refuses"
  | "reverse-path"
  | "hairpin-off"
  /** Rules left it no hop to go on. */
  | "hops-used-up"
  /** An address that the kernel takes from nobody at that place. */
  | "martian";

export interface Ended {
  readonly state: WalkState;
  readonly ending: Ending;
}

/** What became of the ways that entered one step. */
export interface WalkResult {
  readonly going: readonly WalkState[];
  readonly ended: readonly Ended[];
}

/** Runs a step for each way that is still going. */
export function nextStep(result: WalkResult, step: (state: WalkState) => WalkResult): WalkResult {
  const ended: Ended[] = [...result.ended];
  const going: WalkState[] = [];
  for (const state of result.going) {
    const next = step(state);
    for (const way of next.going) going.push(way);
    for (const end of next.ended) ended.push(end);
  }
  return { going, ended };
}

/** The result of a step that one way goes on from. */
export function goesOn(state: WalkState): WalkResult {
  return { going: [state], ended: [] };
}

/** The result of a step that one way ends in. */
export function ends(state: WalkState, ending: Ending): WalkResult {
  return { going: [], ended: [{ state, ending }] };
}
