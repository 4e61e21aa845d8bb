import type { Expectation, TraceRequest } from "@svcproxy/rules";
import {
  type Fault,
  InputError,
  inputError,
  loadDocuments,
  locateFaults,
  nearestWord,
  type SourcePlace,
  type Topology,
} from "@svcproxy/topology";
import { readExpectation } from "./read-expectation.ts";
import { namesAnEnd, readPacket } from "./read-packet.ts";

/** One entry of `--packets`. */
export interface ListedPacket {
  readonly request: TraceRequest;
  readonly expect: Expectation | undefined;
  /** Where the entry starts; found when it is asked for. */
  place(): SourcePlace | undefined;
}

const KEYS = [
  ...["from", "to", "proto", "sport", "inInterface", "mark", "state", "icmpType", "length", "ttl", "mac"],
  ...["expect", "name"],
];

/** A list of packets: a YAML or JSON list, or JSON objects one a line. */
export class PacketList {
  readonly #entries: readonly Entry[];
  readonly #faults: readonly Fault[];
  /** Whether a packet is told by names, for which a topology is needed. */
  readonly hasNames: boolean;

  constructor(text: string, file: string) {
    const faults: Fault[] = [];
    this.#entries = isJsonLines(text) ? entriesOfLines(text, { file, faults }) : entriesOf(text, { file, faults });
    this.#faults = faults;
    this.hasNames = this.#entries.some(({ value }) => isObject(value) && namesAnEnd(value));
  }

  /** @throws InputError with every entry that cannot be read, each at its line */
  read(topology: Topology | undefined): readonly ListedPacket[] {
    const faults: Fault[] = [...this.#faults];
    const packets = this.#entries.flatMap(({ value, place }) => {
      try {
        return [{ ...readEntry(value, topology), place }];
      } catch (error) {
        faults.push(...faultsAt(error, place()));
        return [];
      }
    });
    const [first, ...rest] = faults.toSorted((one, other) => (one.at?.line ?? 0) - (other.at?.line ?? 0));
    if (first !== undefined) throw new InputError([first, ...rest]);
    return packets;
  }
}

/** The faults of an entry, at the place where it stands. @throws what is not an InputError */
export function faultsAt(error: unknown, at: SourcePlace | undefined): readonly Fault[] {
  if (!(error instanceof InputError)) throw error;
  return at === undefined ? error.faults : error.faults.map((fault) => ({ at, ...fault }));
}

interface Entry {
  readonly value: unknown;
  place(): SourcePlace | undefined;
}

interface Reading {
  readonly file: string;
  readonly faults: Fault[];
}

function entriesOf(text: string, { file, faults }: Reading): readonly Entry[] {
  const loaded = loadDocuments({ file, text });
  faults.push(...loaded.faults);
  const found = loaded.documents.flatMap((document) =>
    Array.isArray(document.value)
      ? document.value.map((value: unknown, index) => ({ value, place: { document, path: [index] } }))
      : [{ value: document.value, place: { document, path: [] } }],
  );
  // Places are looked up once, for all entries, and only where there is something to say of one.
  let positions: readonly Fault[] | undefined;
  const locate = () =>
    locateFaults(found.map(({ place }) => ({ severity: "error", code: "SYNTAX", message: "", place })));
  return found.map(({ value }, index) => ({
    value,
    place: () => {
      positions ??= locate();
      return positions[index]?.at;
    },
  }));
}

/** Whether each line is meant to be an object of its own: the first opens one, and one at least holds a whole one. */
function isJsonLines(text: string): boolean {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return lines.length > 1 && lines[0]?.trimStart().startsWith("{") === true && lines.some(isObjectLine);
}

function isObjectLine(line: string): boolean {
  return line.trimStart().startsWith("{") && parseLine(line).kind === "value";
}

function entriesOfLines(text: string, { file, faults }: Reading): readonly Entry[] {
  return text.split("\n").flatMap((line, index): readonly Entry[] => {
    if (line.trim() === "") return [];
    const at = { file, line: index + 1, column: 1 };
    const parsed = parseLine(line);
    if (parsed.kind === "value") return [{ value: parsed.value, place: () => at }];
    faults.push({ severity: "error", code: "SYNTAX", message: `Cannot read JSON: ${parsed.because}`, at });
    return [];
  });
}

type ParsedLine =
  | { readonly kind: "value"; readonly value: unknown }
  | { readonly kind: "fault"; readonly because: string };

function parseLine(line: string): ParsedLine {
  try {
    return { kind: "value", value: JSON.parse(line) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { kind: "fault", because: error.message };
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function readEntry(value: unknown, topology: Topology | undefined): Omit<ListedPacket, "place"> {
  if (!isObject(value))
    throw inputError("BAD_PACKET", `Cannot trace ${JSON.stringify(value)}: a packet is an object`, {
      hint: '{ from: 10.5.75.2, to: "10.100.100.1:7070" }',
    });
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
    throw inputError(
      "UNKNOWN_KEY",
      `A packet has no key ${JSON.stringify(key)}`,
      near === undefined ? {} : { hint: `Did you mean ${near}?` },
    );
  }
  return {
    request: readPacket(words, topology),
    expect: words["expect"] === undefined ? undefined : readExpectation(words["expect"]),
  };
}
