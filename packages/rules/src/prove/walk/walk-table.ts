import { unreachable } from "@svcproxy/topology";
import { targetKey } from "../../compare/target-key.ts";
import { isIdle } from "../../effects/rule-effect.ts";
import { targetEffect } from "../../effects/target-effect.ts";
import type { PlacedRule } from "../../hooks/any-rule.ts";
import type { Hook } from "../../rule-set.ts";
import type { Target } from "../../target.ts";
import { answerOfReject } from "../../trace/walk/refusal-answer.ts";
import type { CompiledChain, CompiledRule } from "../compile/compile-rules.ts";
import type { CompiledBase } from "../compile/compile-stages.ts";
import type { Condition } from "../compile/condition.ts";
import { boundKinds, type ProofContext } from "../compile/proof-context.ts";
import { askRule } from "./ask-rule.ts";
import { type BaseWalk, type ChainEntry, enterChain, walkBase } from "./base-walk.ts";
import { hasOnePort, partsByDestination, placesFor } from "./chain-index.ts";
import { changedMark, connectionMark } from "./mark-change.ts";
import type { SymbolicEnding, SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./symbolic-steps.ts";
import { inZone, LEFT_ALONE } from "./track-state.ts";
import { isMapped, translate } from "./translate-state.ts";

type TableWalk = BaseWalk<CompiledChain>;

/** Walks a base chain at one hook, its policy included. */
export function walkSymbolicTable(
  context: ProofContext,
  entering: SymbolicState,
  { base, hook }: { base: CompiledBase; hook: Hook },
): SymbolicResult {
  return walkBase({ context, hook, base, walkChain }, entering);
}

/** A state on its way through a chain. */
interface Job {
  readonly state: SymbolicState;
  /** Of the rules that may take it, in order. */
  readonly places: readonly number[] | undefined;
  /** Which of them is next. */
  readonly at: number;
}

/** @returns the states that come to the chain's end or return from it */
function walkChain(walk: TableWalk, chain: CompiledChain, { entering, path }: ChainEntry): SymbolicState[] {
  const fell: SymbolicState[] = [];
  for (const part of partsByDestination(chain, entering)) {
    const work: Job[] = [{ state: part, places: placesFor(chain, part), at: 0 }];
    for (let job = work.pop(); job !== undefined; job = work.pop()) {
      const { places } = job;
      let { state, at } = job;
      for (; ; at++) {
        const place = places === undefined ? at : places[at];
        const rule = place === undefined ? undefined : chain.rules[place];
        if (rule === undefined) {
          fell.push(state);
          break;
        }
        if (isImmaterial(rule, walk.context)) continue;
        walk.context.count(rule.placed);
        const { taken, passed } = askRule(state, rule, walk.context.host);
        const next = taken === undefined ? passed : [...take(walk, taken, { rule, path, fell }), ...passed];
        const [first, ...others] = next;
        for (const other of others) work.push({ state: other, places, at: at + 1 });
        if (others.length > 0)
          boundKinds(work.length + fell.length + walk.accepted.length + walk.ended.length, rule.placed);
        if (first === undefined) break;
        if (places !== undefined && hasOnePort(first) && !hasOnePort(state)) {
          // Of thousands of NodePorts, what was marked for one need not be asked for the others.
          const left = placesFor(chain, first)?.filter((other) => place === undefined || other > place);
          work.push({ state: first, places: left, at: 0 });
          break;
        }
        state = first;
      }
    }
  }
  return fell;
}

/** A rule that changes nothing, remembers nothing and does nothing that is to be told need not be asked. */
function isImmaterial({ target, conditions }: CompiledRule, { tellsDeeds }: ProofContext): boolean {
  if (!isIdle(target) || conditions.some(writes)) return false;
  return !tellsDeeds || deedOf(target) === undefined;
}

function writes(condition: Condition): boolean {
  return (
    condition.kind === "recent" ||
    condition.kind === "deed" ||
    (condition.kind === "unknown" && condition.open.changesMark === true)
  );
}

interface Taking {
  readonly rule: CompiledRule;
  readonly path: readonly string[];
  /** Where states go that leave the chain. */
  readonly fell: SymbolicState[];
}

/** Carries a rule's target out. @returns the states that go on to the next rule */
function take(walk: TableWalk, state: SymbolicState, { rule, path, fell }: Taking): readonly SymbolicState[] {
  const { target, placed } = rule;
  const decidedBy = () => ({ ...state, decisions: { placed, earlier: state.decisions } });
  const end = (ending: SymbolicEnding): readonly SymbolicState[] => {
    walk.ended.push({ state: decidedBy(), ending });
    return [];
  };
  if (state.isMarkUnknown === true)
    return end({ kind: "undecided", because: "the packet's mark is not known", placed });
  const told = () => withDeed(walk.context, state, target);
  const place = `rule ${placed.number} of ${placed.table} ${placed.chain}`;
  switch (target.kind) {
    case "none":
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
    case "trace":
      return [told()];
    case "accept":
      walk.accepted.push(decidedBy());
      return [];
    case "return":
      fell.push(decidedBy());
      return [];
    case "drop":
      return end({ kind: "dropped", because: place, placed });
    case "reject":
      return end({
        ...{ kind: "refused", because: `${place} (${target.with})`, placed },
        answer: answerOfReject(target.with, walk.context.space.family),
      });
    case "mark":
      return [{ ...decidedBy(), mark: changedMark(state.mark, target) }];
    case "connmark":
      return (
        connectionMark(state, target) ??
        end({ kind: "undecided", because: "the connection's mark is not known", placed })
      );
    case "ct":
      return trackAs(hasTrackingOptions(target) ? { ...decidedBy(), deeds: told().deeds } : decidedBy(), target, end);
    case "set":
      return target.mapsMark
        ? end({ kind: "undecided", because: "the mark that a set gives the packet is not known", placed })
        : [told()];
    case "tos":
      return [{ ...told(), tos: changedMark(state.tos, target) }];
    case "dscp":
      return [{ ...told(), tos: changedMark(state.tos, { value: target.value << 2, mask: 0xfc }) }];
    case "ttl":
      return [{ ...told(), ttl: `${state.ttl} ${target.change} ${target.value}` }];
    case "jump":
    case "goto":
      return enterChain(walk, { entering: withJump(walk, state, placed), path }, { to: target, placed, fell });
    case "dnat":
    case "snat":
    case "masquerade":
    case "redirect":
    case "netmap":
      for (const translated of translate(walk, decidedBy(), { target, placed })) {
        if ("ending" in translated) walk.ended.push(translated);
        else walk.accepted.push(translated);
      }
      return [];
    case "tproxy":
      return end({ kind: "undecided", because: "TPROXY hands it to a local socket, if one listens", placed });
    case "unknown":
      return isIdle(target)
        ? [told()]
        : end({ kind: "undecided", because: `the target ${target.name} is not understood`, placed });
    default:
      return unreachable(target);
  }
}

/** What a target does besides, for who compares rule sets; undefined for what only writes logs and counters. */
function deedOf(target: Target): string | undefined {
  const { changes } = targetEffect(target);
  return changes.some((subject) => subject !== "log" && subject !== "counter") ? targetKey(target) : undefined;
}

function withDeed({ tellsDeeds }: ProofContext, state: SymbolicState, target: Target): SymbolicState {
  const text = tellsDeeds ? deedOf(target) : undefined;
  return text === undefined ? state : { ...state, deeds: { text, earlier: state.deeds } };
}

/** Whether CT says more than in which zone: a helper, a timeout, which events are told. */
function hasTrackingOptions({ words }: Extract<Target, { kind: "ct" }>): boolean {
  return words.some((word) => ["--helper", "--timeout", "--ctevents", "--expevents"].includes(word));
}

/** Remembers by which rules packets came where they are, where rule sets are compared. */
function withJump({ context }: TableWalk, state: SymbolicState, placed: PlacedRule): SymbolicState {
  return context.tellsDeeds ? { ...state, jumps: { placed, earlier: state.jumps } } : state;
}

/** CT counts for what conntrack has not seen yet. */
function trackAs(
  state: SymbolicState,
  { notrack, zone }: Extract<Target, { kind: "ct" }>,
  end: (ending: SymbolicEnding) => readonly SymbolicState[],
): readonly SymbolicState[] {
  if (state.conntrack !== "unseen") return [state];
  const placed = state.decisions?.placed;
  if (notrack) {
    if (!isMapped(state)) return [{ ...state, conntrack: "untracked" }];
    return end({ kind: "dropped", because: LEFT_ALONE, ...(placed === undefined ? {} : { placed }) });
  }
  if (zone === undefined) return [inZone(state, { zone: 0, direction: "both" })];
  if (zone.zone !== "mark") return [inZone(state, { ...zone, zone: zone.zone })];
  const { kept, flipped } = state.mark;
  return [inZone(state, { ...zone, zone: kept === 0 ? flipped & 0xffff : "unknown" })];
}
