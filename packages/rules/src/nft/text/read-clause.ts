import type { NftStatement } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";

/** Statements that are a few words of their own; where each ends is said by its grammar. @throws NftFault */
export function readClause(words: NftWords, head: "limit" | "quota" | "log" | "last" | "flow" | "dup"): NftStatement {
  const start = words.start;
  words.next();
  switch (head) {
    case "limit":
      skipLimit(words);
      break;
    case "quota":
      skipQuota(words);
      break;
    case "log":
      skipLog(words);
      break;
    case "last":
      if (words.skip("used")) words.next();
      break;
    case "flow":
      words.next();
      words.next();
      break;
    case "dup":
      words.expect("to");
      words.next();
      if (words.skip("device")) words.next();
      break;
  }
  const text = words.slice(start, words.end);
  if (head === "dup") return { kind: "copy", text };
  // What a flow table takes over passes no rule any more; the packets before do.
  return { kind: head === "limit" || head === "quota" ? "gate" : "inert", text };
}

/** `ct count over 20`; undefined where another statement begins with `ct`. */
export function readConnectionCount(words: NftWords): NftStatement | undefined {
  const place = words.mark();
  const start = words.start;
  words.next();
  if (!words.skip("count")) {
    words.reset(place);
    return undefined;
  }
  words.skip("over");
  words.next();
  return { kind: "gate", text: words.slice(start, words.end) };
}

const BYTE_UNITS: readonly string[] = ["bytes", "kbytes", "mbytes"];

function skipLimit(words: NftWords): void {
  if (words.skip("name")) {
    words.next();
    return;
  }
  words.expect("rate");
  words.skip("over");
  skipRate(words);
  if (!words.skip("burst")) return;
  words.next();
  if (words.peek === "packets" || BYTE_UNITS.includes(words.peek)) words.next();
}

/** `10/second`, `10 kbytes/second`. */
function skipRate(words: NftWords): void {
  const rate = words.next();
  if (/^\d+\/[a-z]+$/.test(rate)) return;
  if (!/^\d+$/.test(rate) || !/^[km]?bytes\/[a-z]+$/.test(words.next()))
    throw new NftFault(`${formatWord(rate)} is not a rate`);
}

function skipQuota(words: NftWords): void {
  if (words.skip("name")) {
    words.next();
    return;
  }
  if (!words.skip("over")) words.skip("until");
  words.next();
  words.next();
  if (!words.skip("used")) return;
  words.next();
  words.next();
}

function skipLog(words: NftWords): void {
  for (;;) {
    switch (words.peek) {
      case "prefix":
      case "group":
      case "snaplen":
      case "queue-threshold":
      case "level":
        words.next();
        words.next();
        break;
      case "flags":
        words.next();
        // `flags tcp sequence,options`, `flags ip options`, `flags skuid`, `flags ether`, `flags all`
        if (words.skip("tcp") || words.skip("ip")) words.next();
        else words.next();
        while (words.skip(",")) words.next();
        break;
      default:
        return;
    }
  }
}
