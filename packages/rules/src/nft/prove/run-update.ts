import { openAnswer } from "../../prove/walk/ask-question.ts";
import type { Remembered, SymbolicState, WrittenElement } from "../../prove/walk/symbolic-state.ts";
import type { DatumPart, NftData } from "../nft-rule-set.ts";
import { assume } from "./asked-nft.ts";
import type { DynamicSet, NftStep, PartReading } from "./compiled-nft.ts";
import { keysOf } from "./look-up.ts";
import { answerTo, listName, lookUpDynamic, setKeyOf } from "./look-up-dynamic.ts";
import type { SetKey } from "./set-memory.ts";
import { type AskedStep, decidedBy, type StepOutcome, undecidedAt } from "./step-outcome.ts";
import { valuesOf } from "./values-of.ts";

type Update = Extract<NftStep, { kind: "update" }>;

/** `add`, `update` and `delete` of a set or map. What is there already keeps its data; `update` keeps it there for longer. */
export function runUpdate(asked: AskedStep, state: SymbolicState, step: Update): readonly StepOutcome[] {
  const outcomes: StepOutcome[] = [];
  for (const one of room(asked, state, { step, outcomes })) {
    for (const key of keysOf(asked, one, step.key)) {
      if (key.kind === "none") outcomes.push({ kind: "break", state: key.state });
      else if (key.kind === "undecided") outcomes.push(undecidedAt(asked, key.state, key.because));
      else outcomes.push(...write(asked, decidedBy(key.state, asked.placed), { step, parts: key.parts }));
    }
  }
  return outcomes;
}

/** @returns the states for which there is room; a full set ends the rule */
function room(
  { placed }: AskedStep,
  state: SymbolicState,
  { step: { full }, outcomes }: { readonly step: Update; readonly outcomes: StepOutcome[] },
): readonly SymbolicState[] {
  if (full === undefined) return [state];
  const answer = openAnswer(state, placed, full);
  if (answer === "no" || answer === "yes" || answer.kind !== "question") return [state];
  outcomes.push({ kind: "break", state: assume(state, answer.question, true) });
  return [assume(state, answer.question, false)];
}

interface Writing {
  readonly step: Update;
  readonly parts: readonly PartReading[];
}

function write(asked: AskedStep, state: SymbolicState, { step, parts }: Writing): readonly StepOutcome[] {
  const { set, operation, data } = step;
  const key = setKeyOf(asked, state, parts);
  const next = (one: SymbolicState): StepOutcome => ({ kind: "next", state: one });
  if (key === undefined) return [next(withElement(state, { set: set.name, key: undefined, is: "unknown" }))];
  if (operation === "delete") return [next(forgotten(state, set, key))];
  if (data === undefined) {
    const stays = operation === "add" && answerTo(state, listName(set, key, undefined)) === true;
    return [next(written(state, { set, key, data: undefined, isKept: stays }))];
  }
  return lookUpDynamic(asked, state, { set, parts }).flatMap((found): readonly StepOutcome[] => {
    if (found.kind === "found")
      return [next(written(found.state, { set, key, data: found.data, isKept: operation === "add" }))];
    if (found.kind === "undecided")
      return [next(withElement(found.state, { set: set.name, key: key.text, is: "unknown" }))];
    return valuesOf(asked, found.state, data).map((valued): StepOutcome => {
      if (valued.kind === "undecided") return undecidedAt(asked, valued.state, valued.because);
      if (valued.kind === "none") return { kind: "break", state: valued.state };
      const values = valued.values.flatMap((value): readonly DatumPart[] =>
        value.kind === "datum" ? [value.datum] : [],
      );
      if (values.length < valued.values.length)
        return next(withElement(valued.state, { set: set.name, key: key.text, is: "unknown" }));
      const given: NftData = { kind: "value", parts: values };
      asked.context.memory.learn(set, key, given);
      return next(written(valued.state, { set, key, data: given, isKept: false }));
    });
  });
}

interface Written {
  readonly set: DynamicSet;
  readonly key: SetKey;
  readonly data: NftData | undefined;
  /** Whether it stands as it stood, for no longer than before. */
  readonly isKept: boolean;
}

function written(state: SymbolicState, { set, key, data, isKept }: Written): SymbolicState {
  const noted = withElement(state, { set: set.name, key: key.text, is: { data } });
  if (isKept || key.clientAt.length === 0) return noted;
  return { ...noted, remembered: { list: listName(set, key, data), side: "source", earlier: state.remembered } };
}

function forgotten(state: SymbolicState, set: DynamicSet, key: SetKey): SymbolicState {
  const noted = withElement(state, { set: set.name, key: key.text, is: "gone" });
  const prefix = listName(set, key, undefined);
  const notes: Remembered[] = [];
  for (let note = state.remembered; note !== undefined; note = note.earlier)
    if (note.list !== prefix && !note.list.startsWith(`${prefix} : `)) notes.push(note);
  let remembered: Remembered | undefined;
  for (const note of notes.toReversed()) remembered = { ...note, earlier: remembered };
  return { ...noted, remembered };
}

function withElement(state: SymbolicState, element: Omit<WrittenElement, "earlier">): SymbolicState {
  return { ...state, written: { ...element, earlier: state.written } };
}
