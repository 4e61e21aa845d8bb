import type { Datum, DatumPart, NftData, NftElement } from "../nft-rule-set.ts";
import type { DynamicSet } from "./compiled-nft.ts";
import { datumKey } from "./lookup-tree.ts";

/** A key of a set that rules write, as far as all packets of a state have one. */
export interface SetKey {
  /** Equal for keys that are the same; the client's own address stands as CLIENT. */
  readonly text: string;
  /** Which parts are the client's address, or a hash of it. */
  readonly clientAt: readonly number[];
}

export const CLIENT = "client";

/**
 * What maps that rules write may have for a key: what was listed, and all that rules were seen to write. A walk that asked
 * before a rule wrote is to be walked again.
 */
export class SetMemory {
  readonly #written = new Map<string, Map<string, NftData>>();
  readonly #listed = new Map<string, ReadonlyMap<string, readonly NftData[]>>();
  readonly #asked = new Set<string>();
  /** Whether something was learnt of a key that was asked for before. */
  isOutdated = false;

  valuesOf(set: DynamicSet, key: SetKey): readonly NftData[] {
    const name = `${set.name} ${key.text}`;
    this.#asked.add(name);
    const values = new Map<string, NftData>();
    for (const data of this.#listedOf(set, key)) values.set(datumKey(data), data);
    for (const [text, data] of this.#written.get(name) ?? []) values.set(text, data);
    return [...values.values()];
  }

  learn(set: DynamicSet, key: SetKey, data: NftData): void {
    const name = `${set.name} ${key.text}`;
    const own = this.#written.get(name) ?? new Map<string, NftData>();
    this.#written.set(name, own);
    const text = datumKey(data);
    if (own.has(text)) return;
    own.set(text, data);
    if (this.#asked.has(name)) this.isOutdated = true;
  }

  #listedOf(set: DynamicSet, { text, clientAt }: SetKey): readonly NftData[] {
    const name = `${set.name} ${clientAt.join(" ")}`;
    let listed = this.#listed.get(name);
    if (listed === undefined) {
      listed = byKey(set.elements, clientAt);
      this.#listed.set(name, listed);
    }
    return listed.get(text) ?? [];
  }
}

function byKey(elements: readonly NftElement[], clientAt: readonly number[]): ReadonlyMap<string, readonly NftData[]> {
  const found = new Map<string, NftData[]>();
  for (const { key, data } of elements) {
    if (data === undefined) continue;
    const text = keyText(key.map((part, at) => (clientAt.includes(at) ? CLIENT : partText(part))));
    const own = found.get(text);
    if (own === undefined) found.set(text, [data]);
    else own.push(data);
  }
  return found;
}

export function keyText(parts: readonly Datum[]): string {
  return parts.join(" . ");
}

function partText(part: DatumPart): string {
  return typeof part === "object" ? `${part.from}-${part.to}` : String(part);
}
