import type { TraceRequest } from "@svcproxy/rules";
import { type Fault, InputError, loadDocuments, nearestWord } from "@svcproxy/topology";
import { type Expectation, readExpectation } from "./packet-expectation.ts";
import { readPacket } from "./read-packet.ts";

/** One entry of `--packets`. */
export interface ListedPacket {
  readonly request: TraceRequest;
  readonly expect: Expectation | undefined;
}

const KEYS = [
  ...["from", "to", "proto", "sport", "inInterface", "mark", "state", "icmpType", "length", "ttl", "mac"],
  ...["expect", "name"],
];

/**
 * Reads a list of packets: a YAML or JSON list, or JSON objects one a line.
 *
 * @throws InputError with every entry that cannot be read
 */
export function readPacketList(text: string, file: string): readonly ListedPacket[] {
  const faults: Fault[] = [];
  const packets = entriesOf(text, file).flatMap(({ value, place }) => {
    try {
      return [readEntry(value)];
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      faults.push(...error.faults.map((fault) => ({ ...fault, message: `${place}: ${fault.message}` })));
      return [];
    }
  });
  const [first, ...rest] = faults;
  if (first !== undefined) throw new InputError([first, ...rest]);
  return packets;
}

interface Entry {
  readonly value: unknown;
  readonly place: string;
}

function entriesOf(text: string, file: string): readonly Entry[] {
  const lines = jsonLines(text, file);
  if (lines !== undefined) return lines;
  const { documents } = loadDocuments({ file, text });
  return documents
    .flatMap(({ value }): readonly unknown[] => (Array.isArray(value) ? value : [value]))
    .map((value, index) => ({ value, place: `${file}: packet ${index + 1}` }));
}

/** @returns undefined where the lines are no JSON objects */
function jsonLines(text: string, file: string): readonly Entry[] | undefined {
  const entries: Entry[] = [];
  for (const [index, line] of text.split("\n").entries()) {
    if (line.trim() === "") continue;
    if (!line.trimStart().startsWith("{")) return undefined;
    try {
      entries.push({ value: JSON.parse(line), place: `${file}:${index + 1}` });
    } catch {
      return undefined;
    }
  }
  return entries;
}

function readEntry(value: unknown): ListedPacket {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw fault("BAD_PACKET", "a packet is an object", {});
  // The flags' spelling is understood, too: `in-interface`.
  const words: Readonly<Record<string, unknown>> = Object.fromEntries(
    Object.entries(value).map(([key, word]) => [
      key.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase()),
      word,
    ]),
  );
  for (const key of Object.keys(words)) {
    if (KEYS.includes(key)) continue;
    const near = nearestWord(key, KEYS);
    throw fault(
      "UNKNOWN_KEY",
      `a packet has no key ${JSON.stringify(key)}`,
      near === undefined ? {} : { hint: `Did you mean ${near}?` },
    );
  }
  return {
    request: readPacket(words),
    expect: words["expect"] === undefined ? undefined : readExpectation(words["expect"]),
  };
}

function fault(code: string, message: string, options: Pick<Fault, "hint">): InputError {
  return new InputError([{ severity: "error", code, message, ...options }]);
}
