import type { Subject } from "../../effects/effect.ts";
import type { AnyMatch, AnyRule } from "../../hooks/any-rule.ts";
import type { BaseChain, HookStages } from "../../hooks/hook-order.ts";
import type { HostView } from "../../host/routing.ts";
import type { FoundElement } from "../../nft/trace/asked.ts";
import type { Hook, RulePosition } from "../../rule-set.ts";
import type { Fraction } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { type Question, type RuleEvent, type WalkState, withEvent } from "./walk-state.ts";

/** By the reason why an order is not known (`Question.because`): which of its orders, 0-based. */
export type ChainOrders = ReadonlyMap<string, number>;

/** What stays the same during one trace. */
export interface WalkContext {
  /** What one trace may still cost: a step for every rule that a way meets, more where ways part. It is counted down. */
  readonly budget: { left: number };
  readonly host: HostView;
  /** What the kernel does at each hook, in its order. */
  readonly stages: HookStages;
  /** Whether sets that rules write as packets pass hold what was listed; else what is in them is not known. */
  readonly knowsDynamicSets: boolean;
  /** Is told each element of a set or map of nftables that a packet's key is found at. */
  readonly onElement?: ((found: FoundElement) => void) | undefined;
  /** Whether a rule that translates is the service proxy's own; `path` names the chains that led to it, the built-in one first. */
  isOwn(position: RulePosition, rule: AnyRule, path: readonly string[]): boolean;
  /** Orders of chains of one priority that are taken to be so, by the reason why they are not known. */
  readonly orders?: ChainOrders | undefined;
  /** Runs of rules that did not match are folded when they are longer than this. */
  readonly foldMissesAfter: number;
}

/** A chain that is being walked, and how it was reached. */
export interface ChainWalk {
  readonly context: WalkContext;
  /** Where the walk of the table began. */
  readonly base: BaseChain;
  readonly table: string;
  readonly hook: Hook;
  readonly path: readonly string[];
}

/** A rule that is asked about one way. */
export interface RuleVisit {
  readonly state: WalkState;
  readonly rule: AnyRule;
  readonly chain: string;
  readonly number: number;
  /** The packet as it came to the rule, where the rule has changed it since. */
  readonly before?: PacketView;
}

/** A rule that took a packet, or may have. */
export interface TakenRule extends RuleVisit {
  readonly outcome: RuleEvent["outcome"];
}

export function ruleEvent(
  { table, path }: ChainWalk,
  { state, rule, chain, number, before }: RuleVisit,
  { outcome, after }: { outcome: RuleEvent["outcome"]; after?: PacketView },
): RuleEvent {
  return {
    kind: "rule",
    table,
    chain,
    number,
    depth: path.length - 1,
    rule,
    outcome,
    before: before ?? state.packet,
    after: after ?? state.packet,
  };
}

/** Adds a rule that did not take the packet; long runs of them are kept as a count. */
export function withMiss(
  { context, table, path }: ChainWalk,
  { state, rule, chain, number }: RuleVisit,
  { failed, lost }: { failed: AnyMatch; lost?: Fraction },
): WalkState {
  const last = state.past?.event;
  const missed = { number, rule, failed, ...(lost === undefined ? {} : { lost }) };
  const byChance = lost === undefined ? 0 : 1;
  if (last?.kind !== "misses" || last.chain !== chain || last.table !== table || last.last !== number - 1) {
    const depth = path.length - 1;
    return withEvent(state, {
      kind: "misses",
      table,
      chain,
      depth,
      first: number,
      last: number,
      byChance,
      rules: [missed],
    });
  }
  const rules = last.rules.length < context.foldMissesAfter ? [...last.rules, missed] : last.rules;
  const event = { ...last, last: number, byChance: last.byChance + byChance, rules };
  return { ...state, past: { event, earlier: state.past?.earlier } };
}

/**
 * Counts a run of rules that did not take the packet, where it goes on one that is counted only.
 *
 * @param run of the rules behind number `after`, up to number `last`
 * @returns undefined where the rules of such a run are told one by one still
 */
export function withMoreMisses(
  { context, table }: ChainWalk,
  state: WalkState,
  { chain, after, last }: { readonly chain: string; readonly after: number; readonly last: number },
): WalkState | undefined {
  const event = state.past?.event;
  if (event?.kind !== "misses" || event.chain !== chain || event.table !== table || event.last !== after)
    return undefined;
  if (event.rules.length < context.foldMissesAfter) return undefined;
  return { ...state, past: { event: { ...event, last }, earlier: state.past?.earlier } };
}

/**
 * The same condition asked twice answers the same, as long as nothing that it looks at was changed in between.
 *
 * @param reads what the condition looks at
 */
export function earlierAnswer(
  { assumptions, packet }: WalkState,
  { match, reads }: { readonly match: AnyMatch; readonly reads: readonly Subject[] | "everything" },
): number | undefined {
  const text = JSON.stringify(match);
  for (let node = assumptions; node !== undefined; node = node.earlier) {
    const { question } = node;
    if (question.match === undefined || JSON.stringify(question.match) !== text) continue;
    return seenBy(reads, question.packet) === seenBy(reads, packet) ? node.answer : undefined;
  }
  return undefined;
}

/** What a match that looks at these subjects sees of a packet, as a text. */
function seenBy(reads: readonly Subject[] | "everything", packet: PacketView): string {
  const seen: Readonly<Partial<Record<Subject, readonly unknown[]>>> = {
    address: [packet.source, packet.destination],
    port: [packet.sourcePorts, packet.destinationPorts],
    interface: [packet.inInterface, packet.outInterface],
    bridgePort: [packet.inInterface, packet.outInterface, packet.bridge],
    linkAddress: [packet.inInterface],
    mark: [packet.mark],
    tos: [packet.tos],
    ttl: [packet.ttl],
    connection: [packet.connection?.state, packet.connection?.reply],
    connectionMark: [packet.connection?.mark],
    connectionLabel: [[...(packet.connection?.labels ?? [])]],
  };
  return JSON.stringify(reads === "everything" ? seen : reads.map((subject) => seen[subject]));
}

export function placeOf({ table }: ChainWalk, { chain, number }: RuleVisit): string {
  return `rule ${number} of ${table} ${chain}`;
}

export function targetQuestion(
  { table }: ChainWalk,
  { state, rule, chain, number }: RuleVisit,
  { because, answers }: { because: string; answers: number },
): Question {
  return {
    position: { table, chain, number },
    rule,
    match: undefined,
    because,
    answers,
    packet: state.packet,
    reached: state.probability,
    past: state.past,
  };
}
