import { addressBits, familyOf, parseIpAddress } from "@svcproxy/topology";
import type { Datum, DatumPart, NftElement } from "../nft-rule-set.ts";
import type { Value } from "./value.ts";

export type Lookup =
  | { readonly kind: "found"; readonly element: NftElement }
  | { readonly kind: "missing" }
  | { readonly kind: "unknown"; readonly because: string };

/** Looks a key up among elements, the most special of them first; quick for keys of single values. */
export class ElementIndex {
  readonly #exact = new Map<string, NftElement>();
  /** Those with a range, a prefix or a name with `*` in them. */
  readonly #wide: NftElement[] = [];
  readonly #catchAll: NftElement | undefined;

  constructor(elements: readonly NftElement[]) {
    for (const element of elements) {
      if (element.key.length === 0) this.#catchAll = element;
      else if (element.key.every(isSingle)) this.#exact.set(keyText(element.key), element);
      else this.#wide.push(element);
    }
  }

  find(values: readonly Value[]): Lookup {
    const doubtful = values.find(({ kind }) => kind !== "known");
    if (doubtful === undefined) {
      const exact = this.#exact.get(keyText(values.map(datumOf)));
      if (exact !== undefined) return { kind: "found", element: exact };
    }
    // A key of which not all is known may still be none of the elements, or one of them whatever the rest is.
    const candidates = doubtful === undefined ? this.#wide : [...this.#exact.values(), ...this.#wide];
    let found: NftElement | undefined;
    for (const element of candidates) {
      const answer = isKey(element.key, values);
      if (answer === "perhaps")
        return {
          kind: "unknown",
          because: doubtful === undefined ? "a range of the set is not understood" : describeDoubt(doubtful),
        };
      if (answer === "yes") found ??= element;
    }
    if (found !== undefined) return { kind: "found", element: found };
    return this.#catchAll === undefined ? { kind: "missing" } : { kind: "found", element: this.#catchAll };
  }
}

function isSingle(part: DatumPart): boolean {
  return typeof part === "number" || (typeof part === "string" && !part.endsWith("*"));
}

function keyText(parts: readonly (DatumPart | undefined)[]): string {
  return parts.length === 1 ? String(parts[0]) : parts.join(" . ");
}

function datumOf(value: Value): Datum | undefined {
  return value.kind === "known" ? value.datum : undefined;
}

export function describeDoubt(value: Value): string {
  switch (value.kind) {
    case "unknown":
      return value.because;
    case "within":
      return `${value.what} may be any of ${value.from}-${value.to}`;
    case "bits":
      return `${value.what} is not all known`;
    default:
      return "a range is not a single value";
  }
}

type Answer = "yes" | "no" | "perhaps";

function isKey(key: readonly DatumPart[], values: readonly Value[]): Answer {
  let answer: Answer = "yes";
  for (const [at, part] of key.entries()) {
    const value = values[at];
    const one = value === undefined ? "no" : isIn(part, value);
    if (one === "no") return "no";
    if (one === "perhaps") answer = "perhaps";
  }
  return answer;
}

/** Whether a value is the part, or in its range. */
export function isIn(part: DatumPart, value: Value): Answer {
  switch (value.kind) {
    case "known":
      return typeof part === "object" ? inRange(part.from, value.datum, part.to) : isSame(part, value.datum);
    case "within": {
      const { from, to } = typeof part === "object" ? part : { from: part, to: part };
      if (typeof from !== "number" || typeof to !== "number") return "perhaps";
      if (from <= value.from && value.to <= to) return "yes";
      return to < value.from || value.to < from ? "no" : "perhaps";
    }
    case "bits":
      return typeof part === "number" && ((part ^ value.set) & value.known) !== 0 ? "no" : "perhaps";
    default:
      return "perhaps";
  }
}

function isSame(part: Datum, datum: Datum): Answer {
  if (part === datum) return "yes";
  // A number and a name, or two names of which one may be a number's: which of them nft means is not known.
  if (typeof part !== typeof datum) return "perhaps";
  return typeof part === "string" && part.endsWith("*") && String(datum).startsWith(part.slice(0, -1)) ? "yes" : "no";
}

function inRange(from: Datum, datum: Datum, to: Datum): Answer {
  if (typeof from === "number" && typeof datum === "number" && typeof to === "number")
    return from <= datum && datum <= to ? "yes" : "no";
  const [low, bits, high] = [from, datum, to].map(bitsOf);
  if (low === undefined || bits === undefined || high === undefined) return "perhaps";
  if (low.family !== bits.family) return "no";
  return low.bits <= bits.bits && bits.bits <= high.bits ? "yes" : "no";
}

function bitsOf(datum: Datum): { readonly family: 4 | 6; readonly bits: bigint } | undefined {
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  return address === undefined ? undefined : { family: familyOf(address), bits: addressBits(address) };
}
