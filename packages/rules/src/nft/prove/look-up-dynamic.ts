import type { AddressSpace } from "../../prove/space/address-space.ts";
import { onlyMember } from "../../prove/space/index-set.ts";
import type { AddressedField, RegionField } from "../../prove/space/region.ts";
import { enteredField } from "../../prove/walk/ask-rule.ts";
import type { Question, SymbolicState } from "../../prove/walk/symbolic-state.ts";
import type { Datum, NftData } from "../nft-rule-set.ts";
import { type AskedNft, assume } from "./asked-nft.ts";
import { changedBits, changedNumber, type DynamicSet, type PartReading } from "./compiled-nft.ts";
import { datumKey } from "./lookup-tree.ts";
import { CLIENT, keyText, type SetKey } from "./set-memory.ts";

/** What a set or map says of the packets of a state. */
export type Found =
  | { readonly kind: "found"; readonly state: SymbolicState; readonly data: NftData | undefined }
  | { readonly kind: "missing"; readonly state: SymbolicState }
  /** There is no such key to look up, which ends the rule. */
  | { readonly kind: "none"; readonly state: SymbolicState }
  | { readonly kind: "undecided"; readonly state: SymbolicState; readonly because: string };

interface Dynamic {
  readonly set: DynamicSet;
  readonly parts: readonly PartReading[];
}

/** Asks a set that rules write: what this packet has met of it is known, of the rest what it may have is asked. */
export function lookUpDynamic(asked: AskedNft, state: SymbolicState, { set, parts }: Dynamic): readonly Found[] {
  const key = setKeyOf(asked, state, parts);
  for (let note = state.written; note !== undefined; note = note.earlier) {
    if (note.set !== set.name) continue;
    if (key === undefined || note.key === undefined) return unsure(asked, state, set);
    if (note.key !== key.text) continue;
    if (note.is === "gone") return [{ kind: "missing", state }];
    if (note.is === "unknown") return unsure(asked, state, set);
    return [{ kind: "found", state, data: note.is.data }];
  }
  if (key === undefined) return unsure(asked, state, set);
  if (!set.isMap) return asks(asked, state, { set, key, values: [undefined] });
  return asks(asked, state, { set, key, values: asked.context.memory.valuesOf(set, key) });
}

/** The name under which an element is remembered, for who asks whether clients come back to where they were. */
export function listName({ name }: DynamicSet, { text }: SetKey, data: NftData | undefined): string {
  return data === undefined ? `@${name} ${text}` : `@${name} ${text} : ${datumKey(data)}`;
}

interface Asking {
  readonly set: DynamicSet;
  readonly key: SetKey;
  readonly values: readonly (NftData | undefined)[];
}

/** One question for each value that may be there. */
function asks({ placed }: AskedNft, state: SymbolicState, { set, key, values }: Asking): readonly Found[] {
  const found: Found[] = [];
  let rest = state;
  for (const data of values) {
    const list = listName(set, key, data);
    const known = answerTo(rest, list);
    if (known === true) return [...found, { kind: "found", state: rest, data }];
    if (known === false) continue;
    const question: Question = {
      ...{ placed, key: list, text: `whether ${list}` },
      ...(key.clientAt.length === 0
        ? {}
        : { recent: { list, side: "source", seconds: set.seconds, hitCount: undefined, rttl: false } }),
    };
    found.push({ kind: "found", state: assume(rest, question, true), data });
    rest = assume(rest, question, false);
  }
  return [...found, { kind: "missing", state: rest }];
}

export function answerTo({ assumptions }: SymbolicState, key: string): boolean | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier) if (one.question.key === key) return one.holds;
  return undefined;
}

/** Which element is asked for is not known, nor whether it is there. */
function unsure({ placed }: AskedNft, state: SymbolicState, { name, isMap }: DynamicSet): readonly Found[] {
  const text = `what @${name} holds is not known: rules write it as packets pass`;
  if (isMap) return [{ kind: "undecided", state, because: text }];
  let times = 0;
  for (let one = state.assumptions; one !== undefined; one = one.earlier)
    if (one.question.key.startsWith(`${text} #`)) times++;
  const question: Question = { placed, key: `${text} #${times}`, text };
  return [
    { kind: "found", state: assume(state, question, true), data: undefined },
    { kind: "missing", state: assume(state, question, false) },
  ];
}

/** The key that all packets of a state have; undefined where it is not known. */
export function setKeyOf(
  { context: { space } }: AskedNft,
  state: SymbolicState,
  parts: readonly PartReading[],
): SetKey | undefined {
  const texts: Datum[] = [];
  const clientAt: number[] = [];
  for (const [at, part] of parts.entries()) {
    const text = partText(part, state, space);
    if (text === undefined) return undefined;
    if (text === CLIENT) clientAt.push(at);
    texts.push(text);
  }
  return { text: keyText(texts), clientAt };
}

function partText(part: PartReading, state: SymbolicState, space: AddressSpace): Datum | undefined {
  switch (part.kind) {
    case "hashedSource":
      return state.source === "source" ? CLIENT : undefined;
    case "field":
      return part.field === "source" && state.source === "source" ? CLIENT : fieldText(part.field, state, space);
    case "entered":
      return onlyMember(state.region[part.field]) ?? `{${part.field}}`;
    case "connection":
      if (state.isErrorAbout === true) return undefined;
      return part.field === "protocol"
        ? (onlyMember(state.region.protocol) ?? "{ct protocol}")
        : regionText(enteredField(state, part.field), state, space);
    case "mark": {
      const { kept, flipped } = changedBits(state.mark, part.operations);
      return kept === 0 ? flipped : undefined;
    }
    case "priority":
      return state.priority === "unknown" ? undefined : changedNumber(state.priority, part.operations);
    case "inInterface":
      return state.inInterface?.kind === "bySource" ? "{iif}" : (state.inInterface?.name ?? "");
    case "outInterface":
      return state.outInterface ?? "";
    case "datum":
      return part.datum;
    default:
      return undefined;
  }
}

function fieldText(field: AddressedField, state: SymbolicState, space: AddressSpace): Datum | undefined {
  const now = state[field];
  if (now === "unknown") return undefined;
  if (typeof now !== "number") return regionText(now, state, space);
  return field === "source" || field === "destination" ? space.addressAt(now) : now;
}

/** A field of which the packets of the region have several values is called by its name: each packet has one. */
function regionText(field: RegionField, { region }: SymbolicState, space: AddressSpace): Datum {
  const only = onlyMember(region[field]);
  const isAddress = field === "source" || field === "destination";
  if (only === undefined || (isAddress && !space.isSingle(only))) return `{${field}}`;
  return isAddress ? space.addressAt(only) : only;
}
