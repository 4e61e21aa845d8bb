import { unreachable } from "@svcproxy/topology";
import { hasMember } from "../../prove/space/index-set.ts";
import { hasConnection } from "../../prove/walk/ask-rule.ts";
import { changedMark } from "../../prove/walk/mark-change.ts";
import type { MarkNow, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import { inZone, LEFT_ALONE } from "../../prove/walk/track-state.ts";
import { isMapped } from "../../prove/walk/translate-state.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { answerOfReject } from "../../trace/walk/refusal-answer.ts";
import { askConditions } from "./asked-nft.ts";
import type { NftStep } from "./compiled-nft.ts";
import { lookUp } from "./look-up.ts";
import { runNat } from "./run-nat.ts";
import { runUpdate } from "./run-update.ts";
import { type AskedStep, decidedBy, ended, type StepOutcome, undecidedAt } from "./step-outcome.ts";
import { type SymbolicValue, valuesOf } from "./values-of.ts";

/** Carries one step of a rule out on the packets of a state. */
export function runStep(asked: AskedStep, state: SymbolicState, step: NftStep): readonly StepOutcome[] {
  const { context, placed } = asked;
  if (step.kind === "conditions") {
    const { taken, passed } = askConditions(asked, state, step.conditions);
    const missed = passed.map((one): StepOutcome => ({ kind: "break", state: one }));
    return taken === undefined ? missed : [{ kind: "next", state: taken }, ...missed];
  }
  if (state.isMarkUnknown === true) return [undecidedAt(asked, state, "the packet's mark is not known")];
  switch (step.kind) {
    case "member":
      return lookUp(asked, state, step.lookup).map((found): StepOutcome => {
        if (found.kind === "undecided") return undecidedAt(asked, found.state, found.because);
        const holds = found.kind !== "none" && (found.kind === "found") !== step.negated;
        return { kind: holds ? "next" : "break", state: found.state };
      });
    case "verdicts":
      return lookUp(asked, state, step.lookup).map((found): StepOutcome => {
        if (found.kind === "undecided") return undecidedAt(asked, found.state, found.because);
        if (found.kind !== "found") return { kind: "break", state: found.state };
        const { data } = found;
        if (data?.kind !== "verdict") return undecidedAt(asked, found.state, "a verdict map gives no verdict");
        if (data.verdict.kind === "continue") return { kind: "next", state: found.state };
        return { kind: "verdict", state: found.state, verdict: data.verdict };
      });
    case "verdict":
      return [{ kind: "verdict", state, verdict: step.verdict }];
    case "assign":
      return valuesOf(asked, state, step.value).map((valued): StepOutcome => {
        if (valued.kind === "undecided") return undecidedAt(asked, valued.state, valued.because);
        const [value] = valued.kind === "none" ? [] : valued.values;
        if (value === undefined) return { kind: "break", state: valued.state };
        return assign(asked, decidedBy(valued.state, placed), { to: step.to, value });
      });
    case "zone":
      return valuesOf(asked, state, step.value).map((valued): StepOutcome => {
        if (valued.kind === "undecided") return undecidedAt(asked, valued.state, valued.because);
        if (valued.kind === "none") return { kind: "break", state: valued.state };
        if (mayBeUntracked(valued.state))
          return undecidedAt(asked, valued.state, "what is not tracked is given a zone");
        // A connection that is known keeps the zone in which it was found.
        if (valued.state.conntrack !== "unseen") return { kind: "next", state: valued.state };
        const [value] = valued.values;
        const number = value?.kind === "datum" && typeof value.datum === "number" ? value.datum : "unknown";
        const { direction = "both" } = step;
        return { kind: "next", state: inZone(decidedBy(valued.state, placed), { zone: number, direction }) };
      });
    case "nat":
    case "masquerade":
    case "redirect":
      return runNat(asked, decidedBy(state, placed), step);
    case "reject": {
      const because = `rule ${placed.number} of ${placed.table} ${placed.chain} (${step.with})`;
      const answer = answerOfReject(step.with, context.space.family);
      return [ended(decidedBy(state, placed), { kind: "refused", because, placed, answer })];
    }
    case "notrack":
      return [untrack(asked, state)];
    case "update":
      return runUpdate(asked, state, step);
    case "deed":
      return [{ kind: "next", state: context.tellsDeeds ? withDeed(state, step.text) : state }];
    case "undecided":
      return [undecidedAt(asked, state, step.because)];
    default:
      return unreachable(step);
  }
}

function withDeed(state: SymbolicState, text: string): SymbolicState {
  return { ...state, deeds: { text, earlier: state.deeds } };
}

type Assignment = { readonly to: Extract<NftStep, { kind: "assign" }>["to"]; readonly value: SymbolicValue };

function assign(asked: AskedStep, state: SymbolicState, { to, value }: Assignment): StepOutcome {
  const next = (changes: Partial<SymbolicState>): StepOutcome => ({ kind: "next", state: { ...state, ...changes } });
  const number = value.kind === "datum" && typeof value.datum === "number" ? value.datum : undefined;
  switch (to) {
    case "priority":
      return next({ priority: number === undefined ? "unknown" : number >>> 0 });
    case "mark": {
      const mark = markOf(value);
      return mark === undefined
        ? undecidedAt(asked, state, `the mark that it gets is not known${why(value)}`)
        : next({ mark });
    }
    case "connectionMark":
      // Without a connection there is nothing to set, and the rule goes on.
      return hasConnection(state) ? next({ connectionMark: markOf(value) }) : next({});
    case "dscp":
      if (number === undefined)
        return undecidedAt(asked, state, `the type of service that it gets is not known${why(value)}`);
      return next({ tos: changedMark(state.tos, { value: number << 2, mask: 0xfc }) });
    case "ttl":
      return next({ ttl: `${state.ttl} set ${number ?? "?"}` });
  }
}

function markOf(value: SymbolicValue): MarkNow | undefined {
  if (value.kind === "mark") return value.mark;
  return value.kind === "datum" && typeof value.datum === "number"
    ? { kept: 0, flipped: value.datum >>> 0 }
    : undefined;
}

function why(value: SymbolicValue): string {
  return value.kind === "unknown" ? `: ${value.because}` : "";
}

function mayBeUntracked({ conntrack, region }: SymbolicState): boolean {
  return conntrack === "untracked" || (conntrack === "tracked" && hasMember(region.state, UNTRACKED));
}

const UNTRACKED = CONNECTION_STATES.indexOf("UNTRACKED");

/** Counts for what conntrack has not seen yet. */
function untrack({ placed }: AskedStep, state: SymbolicState): StepOutcome {
  if (state.conntrack !== "unseen") return { kind: "next", state };
  const decided = decidedBy(state, placed);
  if (!isMapped(state)) return { kind: "next", state: { ...decided, conntrack: "untracked" } };
  return ended(decided, { kind: "dropped", because: LEFT_ALONE, placed });
}
