import type { PacketView, SetNote } from "../../trace/packet/packet-view.ts";
import type { DatumPart, NftSet } from "../nft-rule-set.ts";
import type { NftAsked } from "./asked.ts";
import type { Lookup } from "./set-lookup.ts";
import type { Value } from "./value.ts";

/** Sets of different tables may have one name. */
export function setName({ table }: Pick<NftAsked, "table">, set: string): string {
  return `${table.family} ${table.name} ${set}`;
}

/** A key as one text; undefined where not all of it is known. */
export function keyOf(values: readonly Value[]): string | undefined {
  return values.every(({ kind }) => kind === "known")
    ? values.map((value) => (value.kind === "known" ? String(value.datum) : "")).join(" . ")
    : undefined;
}

/**
 * What rules that the packet has met wrote on a set that rules may write; undefined where they wrote nothing that decides, so
 * that what was listed does.
 */
export function writtenLookup(asked: NftAsked, set: NftSet, values: readonly Value[]): Lookup | undefined {
  if (!set.isDynamic) return undefined;
  const name = setName(asked, set.name);
  const key = keyOf(values);
  for (let note: SetNote | undefined = asked.packet.written; note !== undefined; note = note.earlier) {
    if (note.set !== name) continue;
    if (key === undefined || note.key === undefined) return unsure(set);
    if (note.key !== key) continue;
    if (!note.isCertain) return unsure(set);
    if (note.operation === "delete") return { kind: "missing" };
    return { kind: "found", element: { key: keyParts(values), ...dataOf(note) } };
  }
  return asked.knowsDynamicSets ? undefined : unsure(set);
}

function unsure({ name }: NftSet): Lookup {
  return { kind: "unknown", because: `what @${name} holds is not known: rules write it as packets pass` };
}

function keyParts(values: readonly Value[]): readonly DatumPart[] {
  return values.flatMap((value) => (value.kind === "known" ? [value.datum] : []));
}

function dataOf({ data }: SetNote): {
  readonly data?: { readonly kind: "value"; readonly parts: readonly DatumPart[] };
} {
  return data === undefined ? {} : { data: { kind: "value", parts: data } };
}

/** The packet with one more thing written on a set. */
export function withWritten(packet: PacketView, note: Omit<SetNote, "earlier">): PacketView {
  return { ...packet, written: { ...note, earlier: packet.written } };
}
