import type { Family } from "@svcproxy/topology";
import { parseDuration } from "./duration.ts";
import type { Chain, ChainHook, Collection, ElementValue, NftTable } from "./nft-table.ts";

/** What an element has counted. */
export interface Counter {
  readonly packets: number;
  readonly bytes: number;
}

export interface ParseOptions {
  /** Told what elements have counted, which `nft -s` leaves out. */
  readonly onCounter?: (element: { readonly collection: string; readonly key: string }, counter: Counter) => void;
}

/**
 * Reads what `nft list table` prints of our table. A line that we would never write is kept among those of its map or chain, so that
 * these differ from all that we do write.
 */
export function parseTable(text: string, family: Family, options: ParseOptions = {}): NftTable {
  const collections: Collection[] = [];
  const chains: Chain[] = [];
  const elements = new Map<string, ReadonlyMap<string, ElementValue>>();
  const lines = text.split("\n").values();
  let isDormant = false;
  for (const line of lines) {
    isDormant ||= DORMANT.test(line);
    const [, kind, name] = /^\t(map|set|chain) (\S+) \{$/.exec(line) ?? [];
    if (name === undefined) continue;
    const block = blockLines(lines);
    if (kind === "chain") chains.push(readChain(name, block));
    else {
      const { collection, members } = readCollection({ kind: kind === "map" ? "map" : "set", name }, block, options);
      collections.push(collection);
      if (members.size > 0) elements.set(name, members);
    }
  }
  return { family, ...(isDormant ? { isDormant } : {}), collections, chains, elements };
}

const DORMANT = /^\tflags (\S+,)?dormant\b/;

/** The lines of a block, up to its end, without the tabulators before them. */
function* blockLines(lines: Iterator<string>): Generator<string> {
  for (let next = lines.next(); next.done !== true && next.value !== "\t}"; next = lines.next()) {
    yield next.value.trimStart();
  }
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function readCollection(
  { kind, name }: Pick<Collection, "kind" | "name">,
  lines: Iterable<string>,
  options: ParseOptions,
): { readonly collection: Collection; readonly members: ReadonlyMap<string, ElementValue> } {
  const collection: Mutable<Collection> = { kind, name, typeOf: "", counts: false, comment: "" };
  const members = new Map<string, ElementValue>();
  let isInElements = false;
  for (const line of lines) {
    if (line.startsWith("elements = {")) isInElements = true;
    if (isInElements) isInElements = readElements(line, { collection, members, ...options });
    else readDeclaration(line, collection);
  }
  return { collection, members };
}

function readDeclaration(line: string, collection: Mutable<Collection>): void {
  const space = line.indexOf(" ");
  const word = space < 0 ? line : line.slice(0, space);
  const rest = line.slice(word.length + 1);
  const timeoutSeconds = word === "timeout" ? parseDuration(rest) : undefined;
  if (word === "typeof" && collection.typeOf === "") collection.typeOf = rest;
  else if (line === "counter") collection.counts = true;
  else if (line === "flags interval") collection.flags = "interval";
  else if (line === "flags dynamic,timeout") collection.flags = "dynamic,timeout";
  else if (word === "size") collection.size = Number(rest);
  else if (timeoutSeconds !== undefined) collection.timeoutSeconds = timeoutSeconds;
  else if (word === "comment") collection.comment = unquote(rest);
  // Which some versions print where there is a timeout, and others do not.
  else if (line !== "" && line !== "flags timeout") collection.typeOf += ` ${line}`;
}

const ELEMENT =
  /^(.*?)(?: counter(?: packets (\d+) bytes (\d+))?)?(?: timeout \w+)?(?: expires \w+)?(?: comment "([^"]*)")?(?: : (.*))?$/;

/** @returns whether there are more to come */
function readElements(
  line: string,
  {
    collection: { name, typeOf },
    members,
    onCounter,
  }: ParseOptions & { readonly collection: Collection; readonly members: Map<string, ElementValue> },
): boolean {
  const protocolAt = typeOf.split(" : ", 1)[0]?.split(" . ").indexOf(PROTOCOL_FIELD) ?? -1;
  const start = line.startsWith("elements = {") ? "elements = {".length : 0;
  const isLast = line.endsWith("}");
  for (const text of line.slice(start, isLast ? -1 : undefined).split(",")) {
    const [, printed, packets, bytes, comment, data] = ELEMENT.exec(text.trim()) ?? [];
    if (printed === undefined || printed === "") continue;
    const key = protocolAt < 0 ? printed : nameProtocol(printed, protocolAt);
    members.set(key, { data: data ?? "", comment: comment ?? "" });
    if (packets !== undefined)
      onCounter?.({ collection: name, key }, { packets: Number(packets), bytes: Number(bytes) });
  }
  return !isLast;
}

const PROTOCOL_FIELD = "meta l4proto";

/** What `nft -p` prints for them. Without it nft asks /etc/protocols about each, which not every machine has. */
const PROTOCOL_NAMES: Readonly<Record<string, string>> = { 6: "tcp", 17: "udp", 132: "sctp" };

function nameProtocol(key: string, place: number): string {
  const parts = key.split(" . ");
  const name = PROTOCOL_NAMES[parts[place] ?? ""];
  return name === undefined ? key : parts.with(place, name).join(" . ");
}

/** `meta l4proto 6`, `meta l4proto { 17, 132 }` */
const PROTOCOLS_OF_RULE = /(?<=\bmeta l4proto )(?:\d+|\{[ \d,]*\})/g;

function nameProtocols(rule: string): string {
  return rule.replaceAll(PROTOCOLS_OF_RULE, (numbers) =>
    numbers.replaceAll(/\d+/g, (number) => PROTOCOL_NAMES[number] ?? number),
  );
}

function readChain(name: string, lines: Iterable<string>): Chain {
  const chain: Mutable<Omit<Chain, "rules">> = { name };
  const rules: string[] = [];
  for (const line of lines) {
    const hook = readHook(line);
    if (hook !== undefined) chain.hook = hook;
    else if (line.startsWith('comment "') && rules.length === 0) chain.comment = unquote(line.slice("comment ".length));
    else if (line !== "") rules.push(nameProtocols(line));
  }
  return { ...chain, rules };
}

const HOOK =
  /^type (nat|filter) hook (prerouting|input|output|postrouting) priority ([a-z]*) ?([+-]? ?\d+)?; policy accept;$/;

/** Priorities that have names in the families ip and ip6. */
const PRIORITIES: Readonly<Record<string, number>> = {
  "": 0,
  raw: -300,
  mangle: -150,
  dstnat: -100,
  filter: 0,
  security: 50,
  srcnat: 100,
};

function readHook(line: string): ChainHook | undefined {
  const [, type, hook, word, distance = "0"] = HOOK.exec(line) ?? [];
  if (type !== "nat" && type !== "filter") return undefined;
  if (hook !== "prerouting" && hook !== "input" && hook !== "output" && hook !== "postrouting") return undefined;
  const from = PRIORITIES[word ?? ""];
  return from === undefined ? undefined : { type, hook, priority: from + Number(distance.replace(" ", "")) };
}

function unquote(text: string): string {
  return text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text;
}
