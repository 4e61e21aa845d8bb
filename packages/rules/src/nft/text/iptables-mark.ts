import type { NftExpression } from "../nft-rule-set.ts";
import type { NftWords } from "./nft-words.ts";

const MARK: NftExpression = { kind: "meta", key: "mark" };
const CONNECTION_MARK: NftExpression = { kind: "ct", key: "mark" };

/**
 * Reads what a listing has of a CONNMARK of iptables-nft with a mask: it is printed in words that mean something else. nft
 * prints its own operators as characters, so that the words alone tell.
 *
 * `ct mark set ct mark xor 0x1 and 0xffffff00` is `--set-xmark 0x1/0xff`, `ct mark set mark and 0xff` is `--save-mark` with
 * 0xff for both masks, and `meta mark set ct mark and 0xff` is `--restore-mark` with them: what is not in the mask stays.
 *
 * @returns undefined, and takes no word, where it is none of these
 * @see iptables extensions/libxt_CONNMARK.c, connmark_tg_xlate
 */
export function readIptablesMark(words: NftWords, target: NftExpression): NftExpression | undefined {
  const place = words.mark();
  const setsConnection = target.kind === "ct" && target.key === "mark";
  const setsPacket = target.kind === "meta" && target.key === "mark";
  if (setsConnection && takes(words, ["ct", "mark", "xor"])) {
    const value = number(words);
    if (value !== undefined && words.skip("and")) {
      const rest = number(words);
      if (rest !== undefined) return flip(keep(CONNECTION_MARK, rest), literal(value));
    }
  }
  words.reset(place);
  if (setsConnection && takes(words, ["mark", "and"])) {
    const mask = number(words);
    if (mask !== undefined) return flip(keep(CONNECTION_MARK, ~mask >>> 0), keep(MARK, mask));
  }
  words.reset(place);
  if (setsPacket && takes(words, ["ct", "mark", "and"])) {
    const mask = number(words);
    if (mask !== undefined) return flip(keep(MARK, ~mask >>> 0), keep(CONNECTION_MARK, mask));
  }
  words.reset(place);
  return undefined;
}

function takes(words: NftWords, wanted: readonly string[]): boolean {
  return wanted.every((word) => words.skip(word));
}

function number(words: NftWords): number | undefined {
  return /^0x[0-9a-f]+$/.test(words.peek) ? Number(words.next()) : undefined;
}

function literal(value: number): NftExpression {
  return { kind: "literal", parts: [value] };
}

function keep(left: NftExpression, mask: number): NftExpression {
  return { kind: "bitwise", operator: "&", left, right: literal(mask) };
}

function flip(left: NftExpression, right: NftExpression): NftExpression {
  return { kind: "bitwise", operator: "^", left, right };
}
