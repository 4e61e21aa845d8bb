import type { NftExpression } from "../nft-rule-set.ts";
import { formatWord, NftFault, type NftWords } from "./nft-words.ts";

const EXTENSION_HEADERS: ReadonlySet<string> = new Set(["frag", "hbh", "dst", "mh", "srh", "auth"]);

/** Behind these words stands whether there is such a thing, instead of one of its fields. */
const PRESENCE: ReadonlySet<string> = new Set(["exists", "missing"]);

/** Reads an expression of which we know only that it is one; undefined where another kind stands there. */
export function readOtherExpression(words: NftWords): NftExpression | undefined {
  const word = words.peek;
  switch (word) {
    case "socket":
      return readSocket(words);
    case "osf":
      return readOsf(words);
    case "rt":
      return readRt(words);
    case "ipsec":
      return readIpsec(words);
    case "exthdr":
      return taken(words, 2);
    case "tcp":
    case "ip":
    case "sctp":
    case "dccp":
      return readPart(words, word);
    case "vxlan":
    case "geneve":
    case "gre":
    case "gretap":
      throw new NftFault(`headers within ${word} are not known`);
    default:
      return EXTENSION_HEADERS.has(word) ? taken(words, 2) : undefined;
  }
}

function taken(words: NftWords, count: number, before = ""): NftExpression {
  const text = [before, ...Array.from({ length: count }, () => words.next())].filter((word) => word !== "").join(" ");
  return { kind: "other", text };
}

/** `tcp option maxseg size`, `ip option lsrr exists`, `sctp chunk data`, `dccp option 3`. */
function readPart(words: NftWords, header: string): NftExpression | undefined {
  const place = words.mark();
  words.next();
  const what = words.peek;
  if (what !== "option" && what !== "chunk") {
    words.reset(place);
    return undefined;
  }
  words.next();
  const name = words.next();
  if (name.startsWith("@")) {
    words.expect(",");
    const offset = words.next();
    words.expect(",");
    return { kind: "other", text: `${header} ${what} ${name},${offset},${words.next()}` };
  }
  const hasField = header !== "dccp" && !PRESENCE.has(words.peek);
  return { kind: "other", text: `${header} ${what} ${name}${hasField ? ` ${words.next()}` : ""}` };
}

function readSocket(words: NftWords): NftExpression {
  words.next();
  const key = words.next();
  return words.peek === "level" ? taken(words, 2, `socket ${key}`) : { kind: "other", text: `socket ${key}` };
}

function readOsf(words: NftWords): NftExpression {
  words.next();
  return words.peek === "ttl" ? taken(words, 3, "osf") : taken(words, 1, "osf");
}

function readRt(words: NftWords): NftExpression {
  words.next();
  return words.peek === "ip" || words.peek === "ip6" ? taken(words, 2, "rt") : taken(words, 1, "rt");
}

function readIpsec(words: NftWords): NftExpression {
  words.next();
  const direction = words.next();
  if (direction !== "in" && direction !== "out") throw new NftFault(`${formatWord(direction)} is not a direction`);
  const number = words.skip("spnum") ? `spnum ${words.next()} ` : "";
  const isAddress = words.peek === "ip" || words.peek === "ip6";
  return taken(words, isAddress ? 2 : 1, `ipsec ${direction} ${number}`.trim());
}
