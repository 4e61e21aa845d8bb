import { endianness } from "node:os";

/** What the kernel says of its rules. */
export type RuleWord =
  /** From here on nothing is missed. */
  | { readonly kind: "listening" }
  /** It said more than could be read in time. */
  | { readonly kind: "lost" }
  /** A table, chain, rule, set, element … came or went. @see describe for the text */
  | { readonly kind: "change"; readonly describe: () => string }
  /** All changes since the last commit are in force. */
  | { readonly kind: "commit"; readonly writer: { readonly pid?: number; readonly program?: string } };

/** `struct nlmsghdr`, `struct nfgenmsg` and `struct nlattr`. @see linux/netlink.h; linux/netfilter/nfnetlink.h */
const HEADER_BYTES = 16;
/** The kernel's messages for the group are a page or two at most. */
const MESSAGE_BYTES = 65_536;
const NFNL_HEADER_BYTES = 4;
const ATTRIBUTE_BYTES = 4;
const ATTRIBUTE_TYPE = 0x3fff;

const NLMSG_NOOP = 1;
const NLMSG_OVERRUN = 4;
const NFNL_SUBSYS_NFTABLES = 10;

const NFT_MSG_NEWGEN = 15;
const NFTA_GEN_PROC_PID = 2;
const NFTA_GEN_PROC_NAME = 3;

/** Verbs and objects as `nft monitor` has them. @see linux/netfilter/nf_tables.h, enum nf_tables_msg_types */
const CHANGES: ReadonlyMap<number, string> = new Map([
  ...(["table", "chain", "rule", "set", "element"] as const).flatMap((object, at): [number, string][] => [
    [3 * at, `add ${object}`],
    [3 * at + 2, `delete ${object}`],
    [26 + at, `delete ${object}`],
  ]),
  ...(["object", "flowtable"] as const).flatMap((object, at): [number, string][] => [
    [18 + 4 * at, `add ${object}`],
    [20 + 4 * at, `delete ${object}`],
    [31 + at, `delete ${object}`],
  ]),
]);
/** In all of them the table is the first attribute; which one has the name of what is in the table, else 2. */
const TABLE_ATTRIBUTE = 1;
const NAME_ATTRIBUTES: Readonly<Record<string, number>> = { chain: 3 };
const DEFAULT_NAME_ATTRIBUTE = 2;

const FAMILIES: Readonly<Record<number, string>> = {
  1: "inet",
  2: "ip",
  3: "arp",
  5: "netdev",
  7: "bridge",
  10: "ip6",
};

/** The numbers of netlink's headers are in the machine's own order, those in nftables' attributes in the network's. */
const IS_LITTLE = endianness() === "LE";

function read16(bytes: Buffer, at: number): number {
  return IS_LITTLE ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
}

function read32(bytes: Buffer, at: number): number {
  return IS_LITTLE ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);
}

function aligned(length: number): number {
  return Math.ceil(length / 4) * 4;
}

/** Reads the messages of netlink's group for rules, one after the other in a stream. */
export class RuleWords {
  #rest: Buffer = Buffer.alloc(0);

  /**
   * What a part of the stream completes. A text that was not asked for yet holds the part.
   *
   * @throws RangeError where it is no such stream
   */
  *read(part: Buffer): Generator<RuleWord, void> {
    const bytes = this.#rest.length === 0 ? part : Buffer.concat([this.#rest, part]);
    let at = 0;
    while (bytes.length - at >= HEADER_BYTES) {
      const length = read32(bytes, at);
      if (length < HEADER_BYTES || length > MESSAGE_BYTES) throw new RangeError(`a netlink message of ${length} bytes`);
      if (bytes.length - at < aligned(length)) break;
      const word = wordOf(bytes.subarray(at, at + length));
      if (word !== undefined) yield word;
      at += aligned(length);
    }
    this.#rest = bytes.subarray(at);
  }
}

function wordOf(message: Buffer): RuleWord | undefined {
  const type = read16(message, 4);
  if (type === NLMSG_NOOP) return { kind: "listening" };
  if (type === NLMSG_OVERRUN) return { kind: "lost" };
  if (type >> 8 !== NFNL_SUBSYS_NFTABLES) return undefined;
  if ((type & 0xff) === NFT_MSG_NEWGEN) return { kind: "commit", writer: writerOf(message) };
  return { kind: "change", describe: () => describe(message) };
}

/**
 * `delete element ip svcproxy services`: verb, object, family, table, name. Behind the name of a rule's chain comes, in place of the rule,
 * what can be read of it: the chains that it leads to, comments.
 */
function describe(message: Buffer): string {
  const change = CHANGES.get(read16(message, 4) & 0xff) ?? "change something";
  const object = change.slice(change.indexOf(" ") + 1);
  const family = FAMILIES[message[HEADER_BYTES] ?? 0] ?? "unknown";
  const nameAttribute = NAME_ATTRIBUTES[object] ?? DEFAULT_NAME_ATTRIBUTE;
  let [table, name, rest] = ["", "", ""];
  for (const { type, value, end } of attributesOf(message)) {
    if (type === TABLE_ATTRIBUTE) table = textOf(value);
    if (type !== nameAttribute || object === "table") continue;
    name = textOf(value);
    if (object === "rule") rest = message.toString("latin1", end).replaceAll(/[^ -~]+/g, " ");
    break;
  }
  return [change, family, table, name, rest].filter((word) => word !== "").join(" ");
}

function writerOf(message: Buffer): { pid?: number; program?: string } {
  const writer: { pid?: number; program?: string } = {};
  for (const { type, value } of attributesOf(message)) {
    if (type === NFTA_GEN_PROC_PID && value.length >= 4) writer.pid = value.readUInt32BE(0);
    if (type === NFTA_GEN_PROC_NAME) writer.program = textOf(value);
  }
  return writer;
}

function* attributesOf(
  message: Buffer,
): Generator<{ readonly type: number; readonly value: Buffer; readonly end: number }> {
  let at = HEADER_BYTES + NFNL_HEADER_BYTES;
  while (message.length - at >= ATTRIBUTE_BYTES) {
    const length = read16(message, at);
    if (length < ATTRIBUTE_BYTES || length > message.length - at) return;
    const end = at + length;
    yield { type: read16(message, at + 2) & ATTRIBUTE_TYPE, value: message.subarray(at + ATTRIBUTE_BYTES, end), end };
    at += aligned(length);
  }
}

/** A string that ends with a zero. */
function textOf(value: Buffer): string {
  const zero = value.indexOf(0);
  return value.toString("utf8", 0, zero === -1 ? value.length : zero);
}
