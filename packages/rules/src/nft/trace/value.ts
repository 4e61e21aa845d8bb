import type { Fraction } from "../../trace/packet/fraction.ts";
import type { Datum, DatumRange } from "../nft-rule-set.ts";

/** What is known of a value that a rule looks at. */
export type Value =
  | { readonly kind: "known"; readonly datum: Datum }
  /** A range of addresses or ports, as a map may give it for NAT. */
  | { readonly kind: "span"; readonly range: DatumRange }
  /** Some number from `from` to `to`. */
  | { readonly kind: "within"; readonly from: number; readonly to: number; readonly what: string }
  /** Of some bits of a number it is known whether they are set. */
  | { readonly kind: "bits"; readonly known: number; readonly set: number; readonly what: string }
  | { readonly kind: "unknown"; readonly because: string };

/** The parts of an expression's value, or that there is none, which ends the rule; with the chance of its being so. */
export interface Drawn {
  readonly chance: Fraction;
  readonly values: readonly Value[] | "none";
}

/** A value that is known whole. */
export function known(datum: Datum): Value {
  return { kind: "known", datum };
}

/** A value that is not known. @param because why not, for people */
export function unknownValue(because: string): Value {
  return { kind: "unknown", because };
}
