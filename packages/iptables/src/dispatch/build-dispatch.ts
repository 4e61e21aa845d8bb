import type { Chain, Rule } from "@svcproxy/rules";
import type { Family, IpAddress, Port, Protocol } from "@svcproxy/topology";
import { addressBits, addressWidth, cidrOf } from "@svcproxy/topology";
import { jump } from "../rule-parts/targets.ts";
import { type BlockMatches, blockChainName, type FrontendBlock } from "./frontend-block.ts";

/** A frontend; what a chain does with a packet to it is known to `leafRules`. */
export interface DispatchEntry {
  /** Absent for NodePorts, which the port alone tells apart. */
  readonly address?: IpAddress;
  readonly protocol: Protocol;
  readonly port: Port;
}

export interface DispatchOptions<Entry> {
  readonly family: Family;
  /** Begins the names of the chains below, for instance `KUBE-VIP-`; at most 12 characters. */
  readonly chainPrefix: string;
  /** The rules of a leaf, in the order in which they are tried. */
  readonly leafRules: (entries: readonly Entry[]) => readonly Rule[];
  readonly blockMatches: BlockMatches;
}

export interface Dispatch {
  /** Rules of the chain that all packets come through. */
  readonly rules: readonly Rule[];
  /** Chains below it; each after all those that it jumps to. */
  readonly chains: readonly Chain[];
}

/** Entries of a leaf at most: so many rules cost about as much as a jump to one chain more. */
const LEAF_MAX_ENTRIES = 16;
/** A leaf of so few rules stands in its parent: a jump and a chain would be more. */
const INLINE_MAX_RULES = 2;
/** Binary choices that one chain makes: at most 16 jumps. */
const BITS_PER_STEP = 4;
const PORT_BITS = 16;
const PROTOCOL_DIGITS: Readonly<Record<Protocol, 0 | 1 | 2>> = { tcp: 0, udp: 1, sctp: 2 };

/**
 * Splits the walk over `entries` into a tree of chains by destination prefix, then protocol, then port range. Which block
 * an entry falls into depends on the entries of that block alone, so a changed one rewrites one leaf and, where that
 * overflows or runs empty, the chain above. A packet that is for another address comes back to the next rule.
 */
export function buildDispatch<Entry extends DispatchEntry>(
  entries: readonly Entry[],
  options: DispatchOptions<Entry>,
): Dispatch {
  if (entries.length <= LEAF_MAX_ENTRIES) return { rules: options.leafRules(entries), chains: [] };
  const width = entries.some((entry) => entry.address !== undefined) ? addressWidth(options.family) : 0;
  const keyed = entries.map((entry) => ({
    entry,
    words: entry.address === undefined ? [] : wordsOnce(entry, entry.address, width),
  }));
  const tree: Tree<Entry> = { ...options, width, chains: [] };
  return { rules: stepRules({ start: 0, keyed }, tree), chains: tree.chains };
}

interface Tree<Entry> extends DispatchOptions<Entry> {
  /** Bits of an address; 0 where only ports are told apart. */
  readonly width: number;
  readonly chains: Chain[];
}

interface Keyed<Entry> {
  readonly entry: Entry;
  /** The address in words of 32 bits, the highest first: for so many bits that are asked for, a bigint is slow. */
  readonly words: readonly number[];
}

const knownWords = new WeakMap<DispatchEntry, readonly number[]>();

/** Entries of ports that have not changed come again with the next plan. */
function wordsOnce(entry: DispatchEntry, address: IpAddress, width: number): readonly number[] {
  const words = knownWords.get(entry) ?? addressWords(address, width);
  knownWords.set(entry, words);
  return words;
}

function addressWords(address: IpAddress, width: number): readonly number[] {
  const bits = addressBits(address);
  return Array.from({ length: width / 32 }, (_, word) =>
    Number(BigInt.asUintN(32, bits >> BigInt(width - 32 * (word + 1)))),
  );
}

/** Entries whose keys (the bits of the address, the protocol as one digit, the bits of the port) agree before digit `start`. */
interface Block<Entry> {
  readonly start: number;
  readonly keyed: readonly Keyed<Entry>[];
}

/** The rules of the chain that tells the parts of `block` apart; adds the chains of those parts. */
function stepRules<Entry extends DispatchEntry>(block: Block<Entry>, tree: Tree<Entry>): readonly Rule[] {
  return splitBlock(block, { end: stepEnd(block.start, tree.width), tree }).flatMap((found) => {
    const part = withoutSingleSteps(found, tree);
    const isLeaf = isLeafBlock(part, tree);
    const rules = isLeaf ? tree.leafRules(part.keyed.map(({ entry }) => entry)) : stepRules(part, tree);
    if (isLeaf && rules.length <= INLINE_MAX_RULES) return rules;
    const description = describeBlock(part, tree);
    const name = blockChainName(tree.chainPrefix, description);
    tree.chains.push({ name, rules });
    return [{ matches: tree.blockMatches(description), target: jump(name) }];
  });
}

/** The parts of a block that are leaves, or that agree on every digit before `end`. */
function splitBlock<Entry extends DispatchEntry>(
  block: Block<Entry>,
  { end, tree }: { end: number; tree: Tree<Entry> },
): readonly Block<Entry>[] {
  if (block.start === end || isLeafBlock(block, tree)) return [block];
  if (agreesAt(block, tree)) return splitBlock({ ...block, start: block.start + 1 }, { end, tree });
  const parts: [Keyed<Entry>[], Keyed<Entry>[], Keyed<Entry>[]] = [[], [], []];
  for (const keyed of block.keyed) parts[digitAt(keyed, { position: block.start, tree })].push(keyed);
  return parts
    .filter((keyed) => keyed.length > 0)
    .flatMap((keyed) => splitBlock({ start: block.start + 1, keyed }, { end, tree }));
}

/** Whether all have the same digit: of the 32 of an IPv4 address, that is most. */
function agreesAt<Entry extends DispatchEntry>({ start, keyed }: Block<Entry>, tree: Tree<Entry>): boolean {
  const [first] = keyed;
  if (first === undefined) return true;
  const digit = digitAt(first, { position: start, tree });
  return keyed.every((other) => digitAt(other, { position: start, tree }) === digit);
}

/** Follows a block downwards as long as there is nothing to tell apart: a lone cluster network takes one jump, not one a step. */
function withoutSingleSteps<Entry extends DispatchEntry>(block: Block<Entry>, tree: Tree<Entry>): Block<Entry> {
  if (isLeafBlock(block, tree)) return block;
  const [only, ...others] = splitBlock(block, { end: stepEnd(block.start, tree.width), tree });
  return only === undefined || others.length > 0 ? block : withoutSingleSteps(only, tree);
}

function isLeafBlock({ keyed, start }: Block<unknown>, { width }: { width: number }): boolean {
  return keyed.length <= LEAF_MAX_ENTRIES || start === width + 1 + PORT_BITS;
}

/** Where the step that begins at digit `start` ends: steps stop at the protocol, before and behind. */
function stepEnd(start: number, width: number): number {
  return start === width ? width + 1 : start + BITS_PER_STEP;
}

function digitAt<Entry extends DispatchEntry>(
  { entry, words }: Keyed<Entry>,
  { position, tree: { width } }: { position: number; tree: { width: number } },
): 0 | 1 | 2 {
  if (position === width) return PROTOCOL_DIGITS[entry.protocol];
  const bit =
    position < width
      ? (words[position >> 5] ?? 0) >>> (31 - (position & 31))
      : entry.port >> (PORT_BITS - (position - width));
  return (bit & 1) === 0 ? 0 : 1;
}

function describeBlock<Entry extends DispatchEntry>(
  { start, keyed }: Block<Entry>,
  { width }: { width: number },
): FrontendBlock {
  const entry = keyed[0]?.entry;
  if (entry === undefined) throw new TypeError("a block without entries");
  const cidr = entry.address === undefined ? {} : { cidr: cidrOf(entry.address, Math.min(start, width)) };
  if (start <= width) return cidr;
  const freeBits = PORT_BITS - (start - width - 1);
  if (freeBits === PORT_BITS) return { ...cidr, protocol: entry.protocol };
  const from = (entry.port >> freeBits) << freeBits;
  return { ...cidr, protocol: entry.protocol, ports: { from, to: from + 2 ** freeBits - 1 } };
}

/** The rules for `entries` in one chain, rule by rule or as a tree. */
export function dispatchRules<Entry extends DispatchEntry>(
  entries: readonly Entry[],
  { byTree, ...options }: DispatchOptions<Entry> & { readonly byTree: boolean },
): Dispatch {
  return byTree ? buildDispatch(entries, options) : { rules: options.leafRules(entries), chains: [] };
}
