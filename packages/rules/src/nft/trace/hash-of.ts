import { addressBits, addressWidth, familyOf, parseIpAddress } from "@svcproxy/topology";
import type { Datum, NftExpression } from "../nft-rule-set.ts";
import { jhash } from "./jhash.ts";
import { describeDoubt } from "./set-lookup.ts";
import { known, unknownValue, type Value } from "./value.ts";

/** `jhash … mod n`, where the seed stands in the rule and all that is hashed is known. @see linux net/netfilter/nft_hash.c */
export function hashOf(
  { modulus, seed, offset, of }: Extract<NftExpression, { readonly kind: "jhash" }>,
  values: readonly Value[],
): Value {
  if (seed === undefined)
    return { kind: "within", from: offset, to: offset + modulus - 1, what: "the hash, whose seed the kernel drew," };
  const doubtful = values.find(({ kind }) => kind !== "known");
  if (doubtful !== undefined) return unknownValue(`the hash is not known: ${describeDoubt(doubtful)}`);
  const parts = of.kind === "concat" ? of.parts : [of];
  const bytes = values.map((value, at) => (value.kind === "known" ? bytesOf(value.datum, parts[at]) : undefined));
  if (!bytes.every((part) => part !== undefined)) return unknownValue("the hash of such a value is not known");
  const hash = jhash(bytes.flat(), seed);
  return known(Number((BigInt(hash) * BigInt(modulus)) >> 32n) + offset);
}

/** A value as it lies in the kernel's registers, of four bytes each: network order, what is beside a packet in the host's. */
function bytesOf(datum: Datum, expression: NftExpression | undefined): readonly number[] | undefined {
  const address = typeof datum === "string" ? parseIpAddress(datum) : undefined;
  if (address !== undefined) {
    const length = addressWidth(familyOf(address)) / 8;
    const bits = addressBits(address);
    return Array.from({ length }, (_, at) => Number((bits >> BigInt(8 * (length - 1 - at))) & 255n));
  }
  if (typeof datum !== "number" || expression === undefined) return undefined;
  if (expression.kind === "payload" && (expression.field === "sport" || expression.field === "dport"))
    return [datum >> 8, datum & 255, 0, 0];
  if (expression.kind === "meta" && expression.key === "l4proto") return [datum, 0, 0, 0];
  if ((expression.kind === "meta" || expression.kind === "ct") && expression.key === "mark")
    return [datum & 255, (datum >>> 8) & 255, (datum >>> 16) & 255, datum >>> 24];
  return undefined;
}
