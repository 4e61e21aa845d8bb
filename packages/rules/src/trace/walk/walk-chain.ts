import { matchEffect } from "../../effects/match-effect.ts";
import { isIdle, isVolatile } from "../../effects/rule-effect.ts";
import { isNftRule } from "../../hooks/any-rule.ts";
import type { BaseChain, RuleChain } from "../../hooks/hook-order.ts";
import { MAX_DEPTH } from "../../hooks/max-depth.ts";
import type { Match } from "../../match.ts";
import type { Hook, Rule } from "../../rule-set.ts";
import { type Draw, evaluateRule, type RuleResult, type UnknownMatch } from "../match/evaluate-rule.ts";
import { complement, multiply } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { applyTarget, type TargetOutcome } from "./apply-target.ts";
import { DestinationIndex } from "./destination-index.ts";
import { mergeStates } from "./merge-states.ts";
import { answerOfReject } from "./refusal-answer.ts";
import {
  type ChainWalk,
  earlierAnswer,
  placeOf,
  type RuleVisit,
  ruleEvent,
  type TakenRule,
  targetQuestion,
  type WalkContext,
  withMiss,
  withMoreMisses,
} from "./rule-visit.ts";
import { runNftRule } from "./run-nft-rule.ts";
import {
  type Ended,
  ends,
  type Question,
  type RuleEvent,
  type WalkResult,
  type WalkState,
  withEvent,
} from "./walk-state.ts";
import { isBehindItsConnection } from "./written-header.ts";

/** More ways than these are not followed: the rest of the trace would be of no use to anyone. */
const MAX_WAYS = 20_000;

/** What one more way costs, in rules that a way meets. */
const PARTING_COST = 20;

/** Walks a base chain, its policy included. What goes on was accepted. */
export function walkBaseChain(
  context: WalkContext,
  state: WalkState,
  { base, hook }: { base: BaseChain; hook: Hook },
): WalkResult {
  const { table, name, policy } = base;
  const walk: ChainWalk = { context, base, table, hook, path: [name] };
  const { going, ended, accepted } = walkChain(walk, base, state);
  const fellThrough = going.map((way) => withEvent(way, { kind: "chainEnd", table, chain: name, depth: 0, policy }));
  if (policy !== "DROP") return { going: mergeStates([...accepted, ...fellThrough]), ended };
  return {
    going: accepted,
    ended: [
      ...ended,
      ...fellThrough.map(
        (way): Ended => ({
          state: way,
          ending: { kind: "dropped", because: `the policy of ${table} ${name} is DROP` },
        }),
      ),
    ],
  };
}

interface ChainResult extends WalkResult {
  /** Left the table by ACCEPT or by a translation; `going` came to the chain's end. */
  readonly accepted: readonly WalkState[];
}

/** What one rule did to one way. */
interface Visit {
  readonly next: WalkState[];
  readonly accepted: WalkState[];
  readonly returned: WalkState[];
  readonly ended: Ended[];
}

function walkChain(walk: ChainWalk, chain: RuleChain, entering: WalkState): ChainResult {
  const visit: Omit<Visit, "next"> = { accepted: [], returned: [], ended: [] };
  let live: readonly WalkState[] = [entering];
  const { budget } = walk.context;
  const byDestination = DestinationIndex.of(chain.rules);
  for (let index = 0; index < chain.rules.length; index++) {
    const rule = chain.rules[index];
    if (rule === undefined) break;
    if (budget.left <= 0) {
      const because = `there are too many ways to follow, through the chain ${chain.name} among others`;
      for (const state of live) visit.ended.push({ state, ending: { kind: "undecided", because } });
      live = [];
      break;
    }
    const next: WalkState[] = [];
    for (const state of live)
      visitRule(walk, { state, rule, chain: chain.name, number: index + 1 }, { ...visit, next });
    budget.left -= live.length + PARTING_COST * Math.max(0, next.length - live.length);
    live = next.length > 1 ? mergeStates(next) : next;
    if (live.length === 0) break;
    if (live.length + visit.accepted.length > MAX_WAYS) {
      const because = `there are more than ${MAX_WAYS} ways through the chain ${chain.name}`;
      for (const state of live) visit.ended.push({ state, ending: { kind: "undecided", because } });
      live = [];
      break;
    }
    if (byDestination === undefined) continue;
    const asked = Math.min(...live.map(({ packet }) => byDestination.next(index + 1, packet.destination)));
    const counted = live.map((state) =>
      withMoreMisses(walk, state, { chain: chain.name, after: index + 1, last: asked }),
    );
    if (!counted.every((state) => state !== undefined)) continue;
    budget.left -= live.length * (asked - index - 1);
    live = counted;
    index = asked - 1;
  }
  return { accepted: visit.accepted, ended: visit.ended, going: mergeStates([...visit.returned, ...live]) };
}

function visitRule(walk: ChainWalk, asked: RuleVisit, visit: Visit): void {
  const { state, rule } = asked;
  if (isNftRule(rule)) {
    for (const { taken, effect } of runNftRule(walk, asked, rule)) {
      if (effect.kind === "miss") visit.next.push(taken.state);
      else carryOut(walk, taken, effect, visit);
    }
    return;
  }
  const result = evaluateRule(rule, state.packet, walk.context.host);
  const known = { ...asked, rule, state: withPacket(state, result) };
  if (result.outcome === "no") {
    visit.next.push(withMiss(walk, known, { failed: result.failed }));
    return;
  }
  if (result.outcome === "yes") {
    take(walk, { ...known, rule, outcome: { kind: "matched" } }, visit);
    return;
  }
  if (isIdle(rule.target) && !rule.matches.some((match) => changesMark(match))) {
    const because = result.outcome === "chance" ? "by chance" : describeUnknowns(result.unknowns);
    visit.next.push(withEvent(known.state, ruleEvent(walk, asked, { outcome: { kind: "immaterial", because } })));
    return;
  }
  if (result.outcome === "chance") drawLots(walk, known, result.draw, visit);
  else assume(walk, known, result, visit);
}

function withPacket(state: WalkState, { packet }: RuleResult): WalkState {
  return packet === state.packet ? state : { ...state, packet };
}

/** A socket's mark becomes the packet's where the match holds. */
function changesMark(match: Match): boolean {
  return matchEffect(match).changes.includes("mark");
}

function drawLots(walk: ChainWalk, asked: IptablesVisit, { chance, match }: Draw, visit: Visit): void {
  const { state } = asked;
  const taken = { ...state, probability: multiply(state.probability, chance) };
  take(walk, { ...asked, outcome: { kind: "chance", chance, match }, state: taken }, visit);
  const left = { ...state, probability: multiply(state.probability, complement(chance)) };
  visit.next.push(withMiss(walk, { ...asked, state: left }, { failed: match, lost: chance }));
}

function describeUnknowns(unknowns: readonly UnknownMatch[]): string {
  return unknowns.map(({ because }) => because).join("; ");
}

/** Each match that is not known is a question of its own: another rule may ask one of them alone. */
function assume(walk: ChainWalk, asked: IptablesVisit, { unknowns, draw }: Assumed, visit: Visit): void {
  const because = describeUnknowns(unknowns);
  assumeEach(walk, { ...asked, outcome: { kind: "assumed", took: true, because } }, { unknowns, draw }, visit);
}

function assumeEach(walk: ChainWalk, taken: TakenIptablesRule, { unknowns, draw }: Assumed, visit: Visit): void {
  const { state, rule, chain, number } = taken;
  const [unknown, ...others] = unknowns;
  if (unknown === undefined) {
    if (draw === undefined) take(walk, taken, visit);
    else drawLots(walk, taken, draw, visit);
    return;
  }
  const { match, because } = unknown;
  const known = isVolatile(match) ? undefined : earlierAnswer(state, { match, reads: matchEffect(match).reads });
  const question: Question = {
    position: { table: walk.table, chain, number },
    rule,
    match,
    because,
    answers: 2,
    packet: state.packet,
    reached: state.probability,
    past: state.past,
  };
  const assuming = (answer: number): WalkState =>
    known === undefined ? { ...state, assumptions: { question, answer, earlier: state.assumptions } } : state;
  if (known !== 1 && changesMark(match))
    visit.ended.push(...ends(assuming(0), { kind: "undecided", because: SOCKET_MARK }).ended);
  else if (known !== 1) assumeEach(walk, { ...taken, state: assuming(0) }, { unknowns: others, draw }, visit);
  if (known !== 0) {
    const outcome = { kind: "assumed", took: false, because } as const;
    visit.next.push(withEvent(assuming(1), ruleEvent(walk, taken, { outcome })));
  }
}

const SOCKET_MARK = "the mark of the socket, which becomes the packet's, is not known";

type Assumed = Pick<Extract<RuleResult, { readonly outcome: "unknown" }>, "unknowns" | "draw">;

interface IptablesVisit extends RuleVisit {
  readonly rule: Rule;
}

interface TakenIptablesRule extends IptablesVisit {
  readonly outcome: RuleEvent["outcome"];
}

function take(walk: ChainWalk, taken: TakenIptablesRule, visit: Visit): void {
  const { state, rule } = taken;
  const effect = applyTarget(rule.target, state.packet, {
    host: walk.context.host,
    hook: walk.hook,
    nextHop: state.route?.gateway,
  });
  carryOut(walk, taken, effect, visit);
}

function carryOut(walk: ChainWalk, taken: TakenRule, effect: TargetOutcome, visit: Visit): void {
  const { state, outcome } = taken;
  const told = (after?: PacketView) =>
    withEvent(state, ruleEvent(walk, taken, after === undefined ? { outcome } : { outcome, after }));
  switch (effect.kind) {
    case "continue":
      visit.next.push({ ...told(effect.packet), packet: effect.packet });
      return;
    case "accept":
      visit.accepted.push(told());
      return;
    case "return":
      visit.returned.push(told());
      return;
    case "drop":
      visit.ended.push({ state: told(), ending: { kind: "dropped", because: effect.because ?? placeOf(walk, taken) } });
      return;
    case "refuse":
      visit.ended.push({
        state: told(),
        ending: {
          kind: "refused",
          because: `${placeOf(walk, taken)} (${effect.how})`,
          answer: answerOfReject(effect.how, state.packet.family),
        },
      });
      return;
    case "unknown":
      visit.ended.push({ state: told(), ending: { kind: "undecided", because: effect.because } });
      return;
    case "jump":
    case "goto":
      enter(walk, { ...taken, state: told() }, effect, visit);
      return;
    case "translate":
      translate(walk, taken, effect, visit);
      return;
    case "either": {
      const question = targetQuestion(walk, taken, { because: effect.because, answers: effect.effects.length });
      for (const [answer, one] of effect.effects.entries()) {
        carryOut(
          walk,
          { ...taken, state: { ...state, assumptions: { question, answer, earlier: state.assumptions } } },
          one,
          visit,
        );
      }
      return;
    }
  }
}

function translate(
  walk: ChainWalk,
  taken: TakenRule,
  effect: Extract<TargetOutcome, { readonly kind: "translate" }>,
  visit: Visit,
): void {
  const { state, rule, chain, number, outcome } = taken;
  if (isBehindItsConnection(state.packet)) {
    const because =
      "a rule wrote addresses or ports of it that its connection has otherwise: what NAT makes of it is not known";
    carryOut(walk, taken, { kind: "unknown", because }, visit);
    return;
  }
  const position = { table: walk.table, chain, number };
  const note = { ...position, rule, isOwn: walk.context.isOwn(position, rule, walk.path) };
  const nat = effect.end === "source" ? { sourceNat: note } : { destinationNat: note };
  const question =
    effect.because === undefined
      ? undefined
      : targetQuestion(walk, taken, { because: effect.because, answers: effect.packets.length });
  for (const [answer, packet] of effect.packets.entries()) {
    const way =
      question === undefined ? state : { ...state, assumptions: { question, answer, earlier: state.assumptions } };
    visit.accepted.push({ ...withEvent(way, ruleEvent(walk, taken, { outcome, after: packet })), packet, ...nat });
  }
}

function enter(
  walk: ChainWalk,
  taken: TakenRule,
  { kind, chain: name }: { readonly kind: "jump" | "goto"; readonly chain: string },
  visit: Visit,
): void {
  const chain = walk.base.chains.get(name);
  const isDeep = walk.path.length >= MAX_DEPTH;
  if (chain === undefined || isDeep || walk.path.includes(name)) {
    const tooDeep = `is ${MAX_DEPTH} jumps deep, too deep to decide`;
    const because = `the chain ${name} ${chain === undefined ? "does not exist" : isDeep ? tooDeep : "leads back to itself"}`;
    visit.ended.push(...ends(taken.state, { kind: "undecided", because }).ended);
    return;
  }
  const inner = walkChain({ ...walk, path: [...walk.path, name] }, chain, taken.state);
  for (const end of inner.ended) visit.ended.push(end);
  for (const state of inner.accepted) visit.accepted.push(state);
  const back = kind === "jump" ? visit.next : visit.returned;
  for (const state of inner.going)
    back.push(withEvent(state, { kind: "chainEnd", table: walk.table, chain: name, depth: walk.path.length }));
}
