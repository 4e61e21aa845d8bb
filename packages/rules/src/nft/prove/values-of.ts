import { hasConnection } from "../../prove/walk/ask-rule.ts";
import type { MarkNow, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { Datum, DatumRange } from "../nft-rule-set.ts";
import type { AskedNft } from "./asked-nft.ts";
import { chanceWithin } from "./chance-of-match.ts";
import { changedBits, changedNumber, type PartReading, type Reading } from "./compiled-nft.ts";
import { keysOf } from "./look-up.ts";

/** A value that all packets of a state have. */
export type SymbolicValue =
  | { readonly kind: "datum"; readonly datum: Datum }
  | { readonly kind: "range"; readonly range: DatumRange }
  /** Made of the mark with which the packet came. */
  | { readonly kind: "mark"; readonly mark: MarkNow }
  | { readonly kind: "unknown"; readonly because: string };

/** What an expression comes to for the packets of a state; `none` ends the rule. */
export type Valued =
  | { readonly kind: "values"; readonly state: SymbolicState; readonly values: readonly SymbolicValue[] }
  | { readonly kind: "none"; readonly state: SymbolicState }
  | { readonly kind: "undecided"; readonly state: SymbolicState; readonly because: string };

export function valuesOf(asked: AskedNft, state: SymbolicState, reading: Reading): readonly Valued[] {
  return keysOf(asked, state, reading).flatMap((key): readonly Valued[] => {
    if (key.kind !== "key") return [key];
    let drawn: readonly { readonly state: SymbolicState; readonly values: readonly SymbolicValue[] }[] = [
      { state: key.state, values: [] },
    ];
    for (const part of key.parts)
      drawn = drawn.flatMap(({ state: one, values }) =>
        partValues(one, part).map((way) => ({ state: way.state, values: [...values, way.value] })),
      );
    return drawn.map((way) => ({ kind: "values", ...way }));
  });
}

interface Way {
  readonly state: SymbolicState;
  readonly value: SymbolicValue;
}

/** A remainder of more values than these is not followed value by value. */
const MOST_DRAWN = 256;

function partValues(state: SymbolicState, part: PartReading): readonly Way[] {
  const one = (value: SymbolicValue): readonly Way[] => [{ state, value }];
  const unknown = (because: string) => one({ kind: "unknown", because });
  switch (part.kind) {
    case "datum":
      return one({ kind: "datum", datum: part.datum });
    case "range":
      return one({ kind: "range", range: part.range });
    case "mark":
      return one(markValue(changedBits(state.mark, part.operations)));
    case "connectionMark": {
      const { connectionMark } = state;
      return connectionMark === undefined || !hasConnection(state)
        ? unknown("the connection's mark is not known")
        : one(markValue(changedBits(connectionMark, part.operations)));
    }
    case "priority":
      return state.priority === "unknown"
        ? unknown("the packet's priority is not known")
        : one({ kind: "datum", datum: changedNumber(state.priority, part.operations) });
    case "draw":
      return part.modulus > MOST_DRAWN ? unknown("which number is drawn is not known") : draws(state, part);
    case "unknown":
      return unknown(`${part.open.text} is not known`);
    default:
      return unknown("it hangs on the packet");
  }
}

function markValue(mark: MarkNow): SymbolicValue {
  return mark.kept === 0 ? { kind: "datum", datum: mark.flipped } : { kind: "mark", mark };
}

function draws(state: SymbolicState, { modulus, offset }: Extract<PartReading, { kind: "draw" }>): readonly Way[] {
  return Array.from({ length: modulus }, (_, at) => {
    const chance = chanceWithin(at + offset, at + offset + 1, { modulus, offset });
    return {
      state: { ...state, probability: state.probability * chance },
      value: { kind: "datum" as const, datum: at + offset },
    };
  });
}
