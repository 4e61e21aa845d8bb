import { readPart } from "../data-types.ts";
import type { NftExpression, NftNatFlags, NftStatement } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";
import { readExpression, type TableWords } from "./read-expression.ts";

/** `dnat ip to 1.2.3.4:80`, `snat to …`, `dnat ip prefix to ip daddr map { … }`. @throws NftFault */
export function readNat(words: NftWords, table: TableWords, type: "dnat" | "snat"): NftStatement {
  words.next();
  const family = readFamily(words);
  // `dnat ip addr . port to` is what older versions print before a map of both.
  if (words.skip("addr")) {
    words.expect(".");
    words.expect("port");
  }
  if (words.skip("interval")) return readTarget(words, table, { type, family, isNetmap: false });
  const isNetmap = words.skip("prefix");
  return readTarget(words, table, { type, family, isNetmap });
}

function readFamily(words: NftWords): 4 | 6 | undefined {
  if (words.skip("ip")) return 4;
  return words.skip("ip6") ? 6 : undefined;
}

interface NatHead {
  readonly type: "dnat" | "snat";
  readonly family: 4 | 6 | undefined;
  readonly isNetmap: boolean;
}

function readTarget(words: NftWords, table: TableWords, { type, family, isNetmap }: NatHead): NftStatement {
  words.expect("to");
  const given = family ?? (table.family === "ip" ? 4 : table.family === "ip6" ? 6 : undefined);
  const literal = readLiteralTarget(words, given);
  const address =
    literal?.address ?? (literal === undefined ? readExpression(words, table, typesFor(given)) : undefined);
  const ports = literal === undefined ? readPortBehind(words, table) : literal.ports;
  return {
    kind: "nat",
    type,
    ...(family === undefined ? {} : { family }),
    ...(address === undefined ? {} : { address }),
    ...(ports === undefined ? {} : { ports }),
    isNetmap: isNetmap || words.skip("netmap"),
    ...readNatFlags(words),
  };
}

function typesFor(family: 4 | 6 | undefined): readonly string[] {
  return family === undefined ? [] : [family === 4 ? "ipv4_addr" : "ipv6_addr", "inet_service"];
}

/** `1.2.3.4`, `1.2.3.4-1.2.3.9:80-90`, `[fd00::1]:80`, `:80`: one word. Undefined where an expression comes. */
function readLiteralTarget(
  words: NftWords,
  family: 4 | 6 | undefined,
): { readonly address?: NftExpression; readonly ports?: NftExpression } | undefined {
  const word = words.peek;
  const parts =
    /^\[([^\]]+)\](?:-\[([^\]]+)\])?(?::(.+))?$/.exec(word) ??
    /^([\d.]+(?:-[\d.]+)?)()(?::(.+))?$/.exec(word) ??
    /^([0-9a-f:.]*:[0-9a-f:.]*:[0-9a-f:.]*(?:-[0-9a-f:.]+)?)()()$/.exec(word) ??
    /^()():(.+)$/.exec(word);
  if (parts === null) return undefined;
  const [, first = "", second = "", portText = ""] = parts;
  const text = second === "" ? first : `${first}-${second}`;
  const type = (family ?? (text.includes(":") ? 6 : 4)) === 6 ? "ipv6_addr" : "ipv4_addr";
  const address = text === "" ? undefined : readPart(type, text);
  const ports = portText === "" ? undefined : readPart("inet_service", portText);
  if ((text !== "" && address === undefined) || (text === "" && ports === undefined))
    throw new NftFault(`${formatWord(word)} is not an address to map to`);
  words.next();
  return {
    ...(address === undefined ? {} : { address: { kind: "literal", parts: [address] } }),
    ...(ports === undefined ? {} : { ports: { kind: "literal", parts: [ports] } }),
  };
}

/** `… map { … }:8080`. */
function readPortBehind(words: NftWords, table: TableWords): NftExpression | undefined {
  if (!words.peek.startsWith(":")) return undefined;
  if (words.peek === ":") words.next();
  else words.shift(1);
  return readExpression(words, table, ["inet_service"]);
}

/** `random,persistent`. */
export function readNatFlags(words: NftWords): NftNatFlags {
  const flags = new Set<string>();
  while (["random", "fully-random", "persistent"].includes(words.peek)) {
    flags.add(words.next());
    if (!words.skip(",")) break;
  }
  return { random: flags.has("random"), fullyRandom: flags.has("fully-random"), persistent: flags.has("persistent") };
}
