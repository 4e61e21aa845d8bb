import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import type { CompiledRule } from "../compile/compile-rules.ts";
import { ALL_PORTS, type Condition, NEW_STATE, type OpenQuestion } from "../compile/condition.ts";
import type { HostSpace } from "../space/host-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, isSubset, NOTHING, singleSet, subtract, unite } from "../space/index-set.ts";
import type { MarkCube, MarkSet } from "../space/mark-set.ts";
import { marksWithin, marksWithout } from "../space/mark-set.ts";
import type { AddressedField, Region, RegionField } from "../space/region.ts";
import { type Answer, askRecent, CONNECTION_MARK, decided, openAnswer, type Split } from "./ask-question.ts";
import type { SymbolicState } from "./symbolic-state.ts";

export type AskedRule = Pick<CompiledRule, "placed" | "conditions">;

/** The packets of a state that a rule takes, and those that it passes over. */
export interface RuleAnswer {
  readonly taken: SymbolicState | undefined;
  readonly passed: readonly SymbolicState[];
}

/** Divides the packets of a state by one rule. The parts are disjoint, and together they are the state. */
export function askRule(state: SymbolicState, rule: AskedRule, host: HostSpace): RuleAnswer {
  const splits: Split[] = [];
  let writes = false;
  let fails = false;
  for (const condition of rule.conditions) {
    const answer = askCondition(state, condition, { rule, host });
    if (answer === "no") {
      fails = true;
      break;
    }
    if (answer === "yes") continue;
    splits.push(answer);
    if (answer.kind === "remember" || answer.kind === "deed") writes = true;
  }
  // What was written before a later match failed stays written.
  if (fails && !writes) return { taken: undefined, passed: [state] };
  let taken: SymbolicState | undefined = state;
  const passed: SymbolicState[] = [];
  for (const split of splits) {
    if (taken === undefined) break;
    taken = divide(taken, split, passed);
  }
  return fails && taken !== undefined ? { taken: undefined, passed: [...passed, taken] } : { taken, passed };
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
      const { question, negated, changesMark, deed } = split;
      const assuming = (holds: boolean): SymbolicState => {
        const assumed = { ...state, assumptions: { question, holds, earlier: state.assumptions } };
        return deed === undefined || !holds ? assumed : { ...assumed, deeds: { text: deed, earlier: state.deeds } };
      };
      passed.push(assuming(negated));
      const held = assuming(!negated);
      return changesMark ? { ...held, isMarkUnknown: true } : held;
    }
    case "deed":
      return { ...state, deeds: { text: split.text, earlier: state.deeds } };
    case "remember":
      return { ...state, remembered: { list: split.list, side: split.side, earlier: state.remembered } };
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
  readonly rule: AskedRule;
  readonly host: HostSpace;
}

function askCondition(state: SymbolicState, condition: Condition, asked: Asked): Answer {
  if (state.conntrack === "template" && condition.onTemplate !== undefined)
    return condition.onTemplate === "asked" ? "yes" : openAnswer(state, asked.rule.placed, condition.onTemplate);
  switch (condition.kind) {
    case "field":
      return askField(state, condition.field, condition.set, asked);
    case "entered":
      if (condition.field === "protocol" && state.refusal !== undefined)
        return decided(hasMember(condition.set, state.refusal.protocol));
      return condition.field === "state"
        ? askConnectionState(state, condition.set)
        : askRegion(state.region, condition.field, condition.set);
    case "connection":
      return state.isErrorAbout === true
        ? openAnswer(state, asked.rule.placed, condition.open)
        : askRegion(state.region, enteredField(state, condition.field), condition.set);
    case "mark":
      return askMark(state.mark, condition);
    case "connectionMark":
      if (!hasConnection(state)) return "no";
      return state.connectionMark === undefined
        ? openAnswer(state, asked.rule.placed, CONNECTION_MARK)
        : askMark(state.connectionMark, condition);
    case "inInterface":
      return askInInterface(state, (name) => nameMatches(condition.name, name) !== condition.negated);
    case "outInterface":
      return decided(nameMatches(condition.name, state.outInterface ?? "") !== condition.negated);
    case "translated":
      return askTranslated(state, condition, asked);
    case "direction":
      return state.isErrorAbout === true
        ? openAnswer(state, asked.rule.placed, condition.open)
        : decided(condition.direction === state.direction);
    case "local": {
      const holds = state.isLocal ? condition.whenLocal : condition.whenArriving;
      return holds === "unknown" ? openAnswer(state, asked.rule.placed, condition.open) : decided(holds);
    }
    case "firstOnly":
      if (condition.holdsUntracked !== undefined && !hasConnection(state)) return decided(condition.holdsUntracked);
      return state.direction === "ORIGINAL" && isSubset(state.region.state, NEW_STATE)
        ? decided(condition.holdsForFirst)
        : openAnswer(state, asked.rule.placed, condition.open);
    case "inDevices":
      return askInInterface(state, (name) => condition.names.has(name) !== condition.negated);
    case "outDevices":
      return decided(condition.names.has(state.outInterface ?? "") !== condition.negated);
    case "frame":
      return askFrame(state, condition);
    case "tos":
      return askTypeOfService(state, condition, asked);
    case "icmp": {
      const icmp = state.refusal?.icmp;
      if (icmp === undefined) return openAnswer(state, asked.rule.placed, condition.open);
      const { type, code = { from: 0, to: 255 }, negated } = condition.match;
      const isCode = icmp.code >= code.from && icmp.code <= code.to;
      return decided((type === "any" || (icmp.type === type && isCode)) !== negated);
    }
    case "hasConnection":
      return decided(hasConnection(state) ? condition.holds : condition.otherwise);
    case "deed":
      return condition;
    case "never":
      return "no";
    case "chance":
      return condition.chance >= 1 ? "yes" : condition.chance <= 0 ? "no" : condition;
    case "recent":
      return askRecent(state, condition.match, asked.rule.placed);
    case "unknown":
      return openAnswer(state, asked.rule.placed, condition.open);
  }
}

function askField(state: SymbolicState, field: AddressedField, set: IndexSet, asked: Asked): Answer {
  const now = state[field];
  if (typeof now === "number") return decided(hasMember(set, now));
  if (now !== "unknown") return askRegion(state.region, now, set);
  if (set === ALL_PORTS || set.length === 0) return decided(set.length > 0);
  const text = `the ${field === "sourcePort" ? "source" : "destination"} port after NAT`;
  return openAnswer(state, asked.rule.placed, { text, reads: ["port"], isVolatile: false });
}

/** What an answer that begins a connection of its own has as its source was its request's destination. */
export function enteredField({ entersSwapped }: SymbolicState, field: RegionField): RegionField {
  return entersSwapped === true ? (OTHER_END.get(field) ?? field) : field;
}

const OTHER_END: ReadonlyMap<RegionField, RegionField> = new Map([
  ["source", "destination"],
  ["destination", "source"],
  ["sourcePort", "destinationPort"],
  ["destinationPort", "sourcePort"],
]);

function askFrame(
  { isLocal, inInterface, direction, region }: SymbolicState,
  { destinations, isUnicast, negated }: Extract<Condition, { kind: "frame" }>,
): Answer {
  // What the host sends, to itself too, and every answer to it, counts as addressed to one.
  if (isLocal || inInterface?.kind !== "bySource" || direction === "REPLY") return decided(isUnicast !== negated);
  return askRegion(
    region,
    "destination",
    isUnicast !== negated ? subtract(region.destination, destinations) : destinations,
  );
}

function askTypeOfService(
  state: SymbolicState,
  { cube, negated, open }: Extract<Condition, { kind: "tos" }>,
  asked: Asked,
): Answer {
  const answer = askMark(state.tos, { cube, negated });
  return answer === "yes" || answer === "no" ? answer : openAnswer(state, asked.rule.placed, open);
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
function nameMatches(wanted: string, name: string): boolean {
  return wanted.endsWith("+") ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
}

function askInInterface({ inInterface, region }: SymbolicState, holds: (name: string) => boolean): Answer {
  if (inInterface?.kind !== "bySource") return decided(holds(inInterface?.name ?? ""));
  const sets = [...inInterface.arriving].filter(([device]) => holds(device)).map(([, set]) => set);
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
  template: CONNECTION_STATES.indexOf("NEW"),
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
  const open: OpenQuestion = {
    text: `-m conntrack --ctstate ${ends.map((end) => (end === "source" ? "SNAT" : "DNAT")).join(",")}`,
    reads: ["connection"],
    isVolatile: false,
  };
  if (state.isErrorAbout === true && state.conntrack === "tracked") return openAnswer(state, asked.rule.placed, open);
  if (state.conntrack !== "tracked") return decided((askConnectionState(state, states) === "yes") !== negated);
  const older = state.isInNat ? NOTHING : subtract(intersect(state.region.state, WITH_CONNECTION), NEW_STATE);
  if (state.direction === "ORIGINAL" && !isSubset(older, states)) return openAnswer(state, asked.rule.placed, open);
  return askRegion(state.region, "state", negated ? subtract(state.region.state, states) : states);
}
