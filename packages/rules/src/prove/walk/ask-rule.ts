import type { Match } from "../../rule-set.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS, type Condition, NEW_STATE } from "../compile/compile-match.ts";
import type { CompiledRule } from "../compile/compile-rules.ts";
import type { HostSpace } from "../space/host-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, isSubset, singleSet, subtract, unite } from "../space/index-set.ts";
import type { MarkCube, MarkSet } from "../space/mark-set.ts";
import { marksWithin, marksWithout } from "../space/mark-set.ts";
import type { AddressedField, Region, RegionField } from "../space/region.ts";
import type { Question, SymbolicState } from "./symbolic-state.ts";

/** The packets of a state that a rule takes, and those that it passes over. */
export interface RuleAnswer {
  readonly taken: SymbolicState | undefined;
  readonly passed: readonly SymbolicState[];
}

/** What is left to split once the fixed conditions are answered. */
type Split =
  | { readonly kind: "field"; readonly field: RegionField; readonly inside: IndexSet }
  | { readonly kind: "mark"; readonly cube: MarkCube; readonly negated: boolean }
  | { readonly kind: "chance"; readonly chance: number }
  | { readonly kind: "question"; readonly question: Question }
  | { readonly kind: "remember"; readonly list: string };

type Answer = "yes" | "no" | Split;

/** Divides the packets of a state by one rule. The parts are disjoint, and together they are the state. */
export function askRule(state: SymbolicState, rule: CompiledRule, host: HostSpace): RuleAnswer {
  const splits: Split[] = [];
  for (const condition of rule.conditions) {
    const answer = askCondition(state, condition, { rule, host });
    if (answer === "no") return { taken: undefined, passed: [state] };
    if (answer !== "yes") splits.push(answer);
  }
  let taken: SymbolicState | undefined = state;
  const passed: SymbolicState[] = [];
  for (const split of splits) {
    if (taken === undefined) break;
    taken = divide(taken, split, passed);
  }
  return { taken, passed };
}

/** @returns the part for which it holds; the rest goes to `passed` */
function divide(state: SymbolicState, split: Split, passed: SymbolicState[]): SymbolicState | undefined {
  switch (split.kind) {
    case "field":
      return divideField(state, split, passed);
    case "mark": {
      const { mark } = state.region;
      const within = marksWithin(mark, split.cube);
      const without = marksWithout(mark, split.cube);
      const [inside, outside] = split.negated ? [without, within] : [within, without];
      if (outside !== undefined) passed.push(withMark(state, outside));
      return inside === undefined ? undefined : withMark(state, inside);
    }
    case "chance":
      if (split.chance < 1) passed.push({ ...state, probability: state.probability * (1 - split.chance) });
      return split.chance > 0 ? { ...state, probability: state.probability * split.chance } : undefined;
    case "question": {
      const { question } = split;
      passed.push({ ...state, assumptions: { question, holds: false, earlier: state.assumptions } });
      return { ...state, assumptions: { question, holds: true, earlier: state.assumptions } };
    }
    case "remember":
      return { ...state, remembered: { list: split.list, earlier: state.remembered } };
  }
}

function divideField(
  state: SymbolicState,
  { field, inside }: Extract<Split, { kind: "field" }>,
  passed: SymbolicState[],
): SymbolicState | undefined {
  const set = state.region[field];
  // An earlier condition of the rule may have taken a part of the same field.
  const taken = intersect(set, inside);
  if (taken === set) return state;
  if (taken.length === 0) {
    passed.push(state);
    return undefined;
  }
  passed.push({ ...state, region: { ...state.region, [field]: subtract(set, taken) } });
  return { ...state, region: { ...state.region, [field]: taken } };
}

function withMark(state: SymbolicState, mark: MarkSet): SymbolicState {
  return mark === state.region.mark ? state : { ...state, region: { ...state.region, mark } };
}

interface Asked {
  readonly rule: CompiledRule;
  readonly host: HostSpace;
}

function askCondition(state: SymbolicState, condition: Condition, asked: Asked): Answer {
  switch (condition.kind) {
    case "field":
      return askField(state, condition.field, condition.set, asked);
    case "entered":
      return condition.field === "state"
        ? askConnectionState(state, condition.set)
        : askRegion(state.region, condition.field, condition.set);
    case "mark":
      return askMark(state.mark, condition);
    case "connectionMark":
      if (!hasConnection(state)) return "no";
      return state.connectionMark === undefined
        ? question(state, asked, { text: "-m connmark", isVolatile: true })
        : askMark(state.connectionMark, condition);
    case "inInterface":
      return askInInterface(state, condition, asked.host);
    case "outInterface":
      return decided(nameMatches(condition.name, state.outInterface ?? "") !== condition.negated);
    case "translated":
      return askTranslated(state, condition, asked);
    case "direction":
      return decided(condition.direction === state.direction);
    case "local": {
      const holds = state.isLocal ? condition.whenLocal : condition.whenArriving;
      return holds === "unknown" ? question(state, asked, condition) : decided(holds);
    }
    case "synOnly":
      return state.direction === "ORIGINAL" && isSubset(state.region.state, NEW_STATE)
        ? decided(condition.holdsForSyn)
        : question(state, asked, condition);
    case "never":
      return "no";
    case "chance":
      return condition.chance >= 1 ? "yes" : condition.chance <= 0 ? "no" : condition;
    case "recent":
      return askRecent(state, condition.match, asked);
    case "unknown":
      return question(state, asked, condition);
  }
}

function decided(holds: boolean): Answer {
  return holds ? "yes" : "no";
}

function askField(state: SymbolicState, field: AddressedField, set: IndexSet, asked: Asked): Answer {
  const now = state[field];
  if (typeof now === "number") return decided(hasMember(set, now));
  if (now !== "unknown") return askRegion(state.region, now, set);
  if (set === ALL_PORTS || set.length === 0) return decided(set.length > 0);
  return question(state, asked, {
    text: `the ${field === "sourcePort" ? "source" : "destination"} port after NAT`,
    isVolatile: false,
  });
}

function askRegion(region: Region, field: RegionField, set: IndexSet): Answer {
  const all = region[field];
  const inside = intersect(all, set);
  return inside === all ? "yes" : inside.length === 0 ? "no" : { kind: "field", field, inside };
}

function askMark(
  { kept, flipped }: SymbolicState["mark"],
  { cube, negated }: { readonly cube: MarkCube; readonly negated: boolean },
): Answer {
  const wanted = (cube.value ^ flipped) & cube.care;
  // Bits that no longer hang on the mark with which the packet came.
  if ((wanted & ~kept) !== 0) return decided(negated);
  const care = (cube.care & kept) >>> 0;
  return care === 0 ? decided(!negated) : { kind: "mark", cube: { care, value: wanted >>> 0 }, negated };
}

/** A final `+` stands for any rest. */
export function nameMatches(wanted: string, name: string): boolean {
  return wanted.endsWith("+") ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
}

function askInInterface(
  { inInterface, region }: SymbolicState,
  { name, negated }: Extract<Condition, { kind: "inInterface" }>,
  { arriving }: HostSpace,
): Answer {
  if (inInterface !== "bySource") return decided(nameMatches(name, inInterface?.name ?? "") !== negated);
  const sets = [...arriving].filter(([device]) => nameMatches(name, device) !== negated).map(([, set]) => set);
  return askRegion(region, "source", unite(sets));
}

const WITH_CONNECTION = unite(
  (["NEW", "ESTABLISHED", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))),
);

/** Whether conntrack knows the packets, where states are told apart. */
export function hasConnection({ region, conntrack }: SymbolicState): boolean {
  return conntrack === "tracked" && intersect(region.state, WITH_CONNECTION).length > 0;
}

const COUNTS_AS = {
  unseen: CONNECTION_STATES.indexOf("INVALID"),
  untracked: CONNECTION_STATES.indexOf("UNTRACKED"),
} as const;

function askConnectionState({ region, conntrack }: SymbolicState, set: IndexSet): Answer {
  return conntrack === "tracked" ? askRegion(region, "state", set) : decided(hasMember(set, COUNTS_AS[conntrack]));
}

/** `--ctstate` with SNAT or DNAT among the states. */
function askTranslated(
  state: SymbolicState,
  { ends, states, negated }: Extract<Condition, { kind: "translated" }>,
  asked: Asked,
): Answer {
  const isTranslated = ends.some((end) => (end === "source" ? state.sourceNat : state.destinationNat) !== undefined);
  if (isTranslated && state.conntrack === "tracked") return decided(!negated);
  if (state.conntrack !== "tracked") return decided((askConnectionState(state, states) === "yes") !== negated);
  const older = subtract(intersect(state.region.state, WITH_CONNECTION), NEW_STATE);
  if (state.direction === "ORIGINAL" && !isSubset(older, states))
    return question(state, asked, {
      text: `-m conntrack --ctstate ${ends.map((end) => (end === "source" ? "SNAT" : "DNAT")).join(",")}`,
      isVolatile: false,
    });
  return askRegion(state.region, "state", negated ? subtract(state.region.state, states) : states);
}

function askRecent(state: SymbolicState, match: Extract<Match, { kind: "recent" }>, asked: Asked): Answer {
  const { name: list, seconds, negated } = match;
  if (match.action === "set") return negated ? "no" : { kind: "remember", list };
  for (let note = state.remembered; note !== undefined; note = note.earlier)
    if (note.list === list) return decided(!negated);
  const text = `-m recent --${match.action} --name ${list}`;
  return question(state, asked, { text, isVolatile: false, recent: { list, seconds } });
}

interface Unanswered {
  readonly text: string;
  readonly isVolatile?: boolean;
  readonly recent?: Question["recent"];
}

/** The same question about the same packet has one answer, unless asking it changes what it is about. */
function question(state: SymbolicState, { rule }: Asked, { text, isVolatile = false, recent }: Unanswered): Answer {
  const { table, chain, number } = rule.placed;
  const key = isVolatile ? `${table} ${chain} ${number} ${text}` : text;
  for (let one = state.assumptions; one !== undefined; one = one.earlier) {
    if (one.question.key === key) return decided(one.holds);
  }
  return {
    kind: "question",
    question: { placed: rule.placed, key, text, ...(recent === undefined ? {} : { recent }) },
  };
}
