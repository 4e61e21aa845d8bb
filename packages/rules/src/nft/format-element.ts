import { addressBits, type Cidr, cidrOf, familyOf, formatCidr, parseIpAddress } from "@svcproxy/topology";
import { formatPart, formatVerdict } from "./format-nft-rule.ts";
import type { Datum, DatumPart, NftElement, NftSet } from "./nft-rule-set.ts";
import { SYMBOLS } from "./symbols.ts";

/** An element as `nft list` prints it, without counters and comment: `10.0.0.1 . tcp . 80 : 1:1`. */
export function formatSetElement(
  { keyTypes, dataTypes }: Pick<NftSet, "keyTypes" | "dataTypes">,
  { key, data }: NftElement,
): string {
  const name = key.length === 0 ? "*" : formatTyped(key, keyTypes);
  if (data === undefined) return name;
  return `${name} : ${data.kind === "verdict" ? formatVerdict(data.verdict) : formatTyped(data.parts, dataTypes)}`;
}

function formatTyped(parts: readonly DatumPart[], types: readonly string[]): string {
  return parts.map((part, at) => formatTypedPart(part, types[at])).join(" . ");
}

function formatTypedPart(part: DatumPart, type: string | undefined): string {
  if (typeof part === "object") {
    const block = blockOf(part.from, part.to);
    return block === undefined ? formatPart(part) : formatCidr(block);
  }
  if (typeof part === "string") return part;
  if (type === "classid") return `${Math.floor(part / 0x10000).toString(16)}:${(part & 0xffff).toString(16)}`;
  if (type === "mark") return `0x${part.toString(16).padStart(8, "0")}`;
  return nameOf(part, type) ?? String(part);
}

function nameOf(value: number, type = ""): string | undefined {
  const names = SYMBOLS[type] ?? new Map<string, number>();
  return [...names].find(([, number]) => number === value)?.[0];
}

/** Addresses that are a block. */
function blockOf(from: Datum, to: Datum): Cidr | undefined {
  const [first, last] = [parseIpAddress(String(from)), parseIpAddress(String(to))];
  if (first === undefined || last === undefined || familyOf(first) !== familyOf(last)) return undefined;
  const hostBits = addressBits(first) ^ addressBits(last);
  const isWhole = (hostBits & (hostBits + 1n)) === 0n && (addressBits(first) & hostBits) === 0n;
  const width = familyOf(first) === 4 ? 32 : 128;
  return isWhole ? cidrOf(first, width - hostBits.toString(2).replace(/^0$/, "").length) : undefined;
}
