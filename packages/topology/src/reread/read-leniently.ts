import type { Fault } from "../errors.ts";
import type { KubernetesOptions, ParsedKubernetes } from "../kubernetes/parse-kubernetes.ts";
import { readInput } from "../read-input.ts";
import { fileFault } from "../text/decode-text.ts";
import type { DocumentPath, Path, PathFault } from "../text/fault-report.ts";
import { UnreadableInput } from "../text/finish-reading.ts";
import type { LoadedDocuments } from "../text/load-documents.ts";
import { locateFaults } from "../text/locate-faults.ts";
import { isMapping, type SourceDocument, type SourceText } from "../text/source-document.ts";
import { type Decision, DocumentDraft, entriesOnce } from "./document-draft.ts";
import type { InputEntry } from "./input-entry.ts";

/** A part of the input with a fault, without which the rest could be read. */
export interface RefusedInput {
  /** As people call it, for instance `service default/web`. */
  readonly entry: string;
  /** Whether its last good state was read in its place. */
  readonly isKept: boolean;
  readonly faults: readonly [Fault, ...Fault[]];
}

/** The last good state of an entry that is refused. */
export interface KeptValue {
  /** The list of a topology file that it stands in, `node` for its settings; empty: a Kubernetes object. */
  readonly list: string;
  readonly value: unknown;
}

export interface LenientlyRead extends ParsedKubernetes {
  readonly refused: readonly RefusedInput[];
  readonly kept: readonly KeptValue[];
  /** What was read in the end: the last good state, for the next time. */
  readonly documents: readonly SourceDocument[];
}

/** The file of what was kept from before. */
export const OF_ANOTHER_READER = "the last good state";

/** Each takes out what the one before brought to light: with a service goes what it shared an address with. */
const MOST_ROUNDS = 8;

/**
 * Reads what was loaded as `readInput` does, but one entry that cannot be read does not hold up the rest: its last good state is read in
 * its place, where there is one.
 *
 * @param good the documents of the last time
 * @throws InputError where a fault cannot be put down to entries that differ from their last good state, or nothing is left
 */
export function readLeniently(
  loaded: LoadedDocuments,
  { good, ...options }: KubernetesOptions & { readonly good: readonly SourceDocument[] },
): LenientlyRead {
  const reading = new Reading(loaded.documents, good);
  let firstError: UnreadableInput | undefined;
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const documents = reading.documents();
    try {
      const read = readInput({ ...loaded, documents }, options);
      reading.refuseWithoutServices();
      return {
        ...read,
        documents,
        warnings: reading.ofTaken(read.warnings),
        refused: reading.refused(),
        kept: reading.kept(),
      };
    } catch (error) {
      if (!(error instanceof UnreadableInput)) throw error;
      firstError ??= error;
      if (loaded.faults.length > 0 || !reading.refuse(error.pathFaults)) throw firstError;
    }
  }
  throw firstError ?? new TypeError("it was never read");
}

interface Refusal {
  readonly decision: Decision;
  readonly faults: readonly PathFault[];
}

class Reading {
  readonly #documents: readonly SourceDocument[];
  readonly #good: readonly SourceDocument[];
  #goodByName: ReadonlyMap<string, InputEntry> | undefined;
  readonly #refusals = new Map<InputEntry, Refusal>();
  /** Kinds of which an entry lost its name: those that are missing may be it. */
  readonly #keptKinds = new Set<string>();
  /** Files of which a document is no object: what is missing may have stood there. */
  readonly #cutFiles = new Set<string>();
  readonly #isOneFile: boolean;
  readonly #drafts = new Map<SourceDocument, DocumentDraft>();

  constructor(documents: readonly SourceDocument[], good: readonly SourceDocument[]) {
    this.#documents = documents;
    this.#good = good;
    this.#isOneFile = new Set(documents.map(({ source }) => source.file)).size === 1;
  }

  documents(): readonly SourceDocument[] {
    if (this.#refusals.size === 0) return this.#documents;
    const decisions = new Map([...this.#refusals].map(([entry, { decision }]) => [entry, decision]));
    const touched = new Set([...decisions.keys()].map(({ document }) => document));
    const missing = this.#missing();
    const lists = Map.groupBy(missing.filter(isOfTopology), ({ path }) => String(path[0]));
    const more = new Map([...lists].map(([key, entries]) => [key, entries.map(({ value }) => value)]));
    const drafted = this.#documents.flatMap((document, index) => {
      if (!touched.has(document) && !(index === 0 && more.size > 0)) return [document];
      const draft = new DocumentDraft(document, index === 0 ? { decisions, more } : { decisions });
      if (draft.document === undefined) return [];
      this.#drafts.set(draft.document, draft);
      return [draft.document];
    });
    return [...drafted, ...missing.filter(isObject).map(alone)];
  }

  #owner({ document, path }: DocumentPath): ReturnType<DocumentDraft["owner"]> {
    const draft = this.#drafts.get(document) ?? new DocumentDraft(document, NOTHING);
    this.#drafts.set(document, draft);
    return draft.owner(path);
  }

  /** What was there the last time, is not any more, and may be what lost its name. */
  #missing(): readonly InputEntry[] {
    if (this.#keptKinds.size + this.#cutFiles.size === 0) return [];
    const names = new Set(this.#documents.flatMap(entriesOnce).map(({ name }) => name));
    return [...this.#goodEntries().values()].filter(
      ({ kind, name, document }) =>
        (this.#keptKinds.has(kind) || this.#wasCutOff(document.source.file)) && !names.has(name),
    );
  }

  #ofFile(entries: readonly InputEntry[], { source: { file } }: SourceDocument): readonly InputEntry[] {
    return entries.filter(({ document: { source } }) => source.file === file || source.file === OF_ANOTHER_READER);
  }

  #wasCutOff(file: string): boolean {
    return this.#cutFiles.has(file) || (this.#cutFiles.size > 0 && file === OF_ANOTHER_READER);
  }

  #goodEntries(): ReadonlyMap<string, InputEntry> {
    this.#goodByName ??= new Map(
      this.#good.flatMap(entriesOnce).flatMap((entry) => (entry.name === undefined ? [] : [[entry.name, entry]])),
    );
    return this.#goodByName;
  }

  /** Refuses those who are to blame. @returns whether there is something to be tried without them */
  refuse(faults: readonly PathFault[]): boolean {
    const errors = faults.filter(({ severity }) => severity === "error");
    const blamed = new Map<InputEntry, PathFault[]>();
    for (const fault of errors) {
      const culprit = this.#culprit(fault);
      // A single file in which there is something else altogether is refused as a whole.
      if (culprit === undefined || (this.#isOneFile && isCutDocument(culprit.entry))) return false;
      blamed.set(culprit.entry, [...(blamed.get(culprit.entry) ?? []), culprit.fault]);
    }
    for (const [entry, ofEntry] of blamed) {
      const before = this.#refusals.get(entry);
      const good = entry.name === undefined ? undefined : this.#goodEntries().get(entry.name);
      const decision: Decision =
        before === undefined && good !== undefined ? { kind: "replace", value: good.value } : { kind: "drop" };
      // Without them all services would be served otherwise.
      if (decision.kind === "drop" && entry.kind === "node settings") return false;
      this.#refusals.set(entry, { decision, faults: [...(before?.faults ?? []), ...ofEntry] });
      if (isCut(entry) || this.#isLast(entry)) this.#cutFiles.add(entry.document.source.file);
      if (!isCut(entry) && entry.name === undefined) this.#keptKinds.add(entry.kind);
    }
    return blamed.size > 0 && this.#isSomethingLeft();
  }

  /** Whether it stands at the end of its file: what comes after it was perhaps cut off with a part of it. */
  #isLast({ document, path, kind }: InputEntry): boolean {
    const { file } = document.source;
    const lastDocument = this.#documents.findLast(({ source }) => source.file === file);
    if (document !== lastDocument || kind === "node settings" || isClosed(document.source)) return false;
    const [list = "", index] = path;
    if (list === "" || !isMapping(document.value)) return true;
    const items = document.value[list];
    const isLastKey = Object.keys(document.value).at(-1) === list;
    return isLastKey && Array.isArray(items) && index === items.length - 1;
  }

  /**
   * A topology file of which the services are gone, key and all: an empty list says `[]`.
   *
   * @throws InputError CUT_OFF
   */
  refuseWithoutServices(): void {
    const [document, another] = this.#documents;
    if (document === undefined || another !== undefined || !isMapping(document.value)) return;
    if (!("hosts" in document.value) || "services" in document.value || this.#missing().length > 0) return;
    const had = [...this.#goodEntries().values()].filter(({ kind }) => kind === "service").length;
    if (had === 0) return;
    const message = `It lacks \`services\`, of which it had ${had} before: it may have been cut off`;
    throw fileFault("CUT_OFF", document.source.file, message, { hint: "Write `services: []` for none" });
  }

  /** Of two that exclude each other, the one that changed is to blame. */
  #culprit({
    place,
    first,
    ...fault
  }: PathFault): { readonly entry: InputEntry; readonly fault: PathFault } | undefined {
    const own = this.#owner(place);
    if (own === undefined) return undefined;
    const other = first === undefined ? undefined : this.#owner(first);
    const placeOf = ({ entry: { document }, path }: typeof own) => ({ document, path });
    if (this.#isNew(own.entry) || other === undefined || !this.#isNew(other.entry)) {
      if (!this.#isNew(own.entry)) return undefined;
      const firstPlace = other === undefined ? {} : { first: placeOf(other) };
      return { entry: own.entry, fault: { ...fault, place: placeOf(own), ...firstPlace } };
    }
    return { entry: other.entry, fault: { ...fault, place: placeOf(other), first: placeOf(own) } };
  }

  /** Whether it is otherwise than when all was well; what is its last good state by now may be left out as well. */
  #isNew(entry: InputEntry): boolean {
    const { name, value } = entry;
    const refusal = this.#refusals.get(entry);
    if (refusal !== undefined) return refusal.decision.kind === "replace";
    const good = name === undefined ? undefined : this.#goodEntries().get(name);
    return good === undefined || (good.value !== value && JSON.stringify(good.value) !== JSON.stringify(value));
  }

  /** Whether there is a service still, where there was one. */
  #isSomethingLeft(): boolean {
    const services = this.#documents.flatMap(entriesOnce).filter(({ kind }) => kind.toLowerCase() === "service");
    return (
      services.length === 0 ||
      (this.#isSomethingNameless() && this.#missing().length > 0) ||
      services.some((entry) => this.#refusals.get(entry)?.decision.kind !== "drop")
    );
  }

  #isSomethingNameless(): boolean {
    return [...this.#refusals.keys()].some((entry) => isCut(entry) || entry.name === undefined);
  }

  /** Without those of what is not taken. */
  ofTaken(warnings: readonly Fault[]): readonly Fault[] {
    if (this.#refusals.size === 0) return warnings;
    const places = [...this.#refusals.keys()].map(({ document, path }) => ({ file: document.source.file, path }));
    return warnings.filter(
      ({ at, path = [] }) =>
        !places.some(
          (place) =>
            place.path.length > 0 && at?.file === place.file && place.path.every((part, index) => part === path[index]),
        ),
    );
  }

  kept(): readonly KeptValue[] {
    const replaced = [...this.#refusals].flatMap(([{ path }, { decision }]) =>
      decision.kind === "replace" ? [{ list: listOf(path), value: decision.value }] : [],
    );
    return [...replaced, ...this.#missing().map(({ path, value }) => ({ list: listOf(path), value }))];
  }

  refused(): readonly RefusedInput[] {
    const missing = this.#missing();
    return [...this.#refusals].flatMap(([refused, { decision, faults }]) => {
      const { name, kind, document } = refused;
      const [first, ...others] = locateFaults(faults);
      if (first === undefined) return [];
      const entry = name ?? `a ${kind} without a name in ${document.source.file}`;
      const isKept = decision.kind === "replace" || (isCut(refused) && missing.length > 0);
      const stayed =
        missing.length > 0 && name !== undefined && this.#isLast(refused) ? this.#ofFile(missing, document) : [];
      const more = stayed.length === 0 ? [] : [whatStays(stayed, first)];
      return [{ entry, isKept, faults: [first, ...others, ...more] as const }];
    });
  }
}

/** That entries which the file had before stay, because the fault stands at its end. */
function whatStays(entries: readonly InputEntry[], { at }: Fault): Fault {
  const names = entries.map(({ name = "" }) => name);
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  const [stay, them] = names.length === 1 ? ["stays", "it"] : ["stay", "them"];
  return {
    severity: "warning",
    code: "CUT_OFF",
    message: `With it at its end the file may have been cut off, so ${names.slice(0, MOST_NAMED).join(", ")}${more} ${stay} as before`,
    ...(at === undefined ? {} : { at }),
    hint: `Mend the last entry to take ${them} away`,
  };
}

const MOST_NAMED = 3;

/** Whether it does not even say of what kind it was. */
function isCut({ name, kind }: InputEntry): boolean {
  return name === undefined && (kind === "document" || kind === "object" || kind.endsWith("List"));
}

function isCutDocument(entry: InputEntry): boolean {
  return isCut(entry) && entry.path.length === 0;
}

/** A host or a service in a list of a topology file. */
function isOfTopology({ path }: InputEntry): boolean {
  return path.length === 2 && path[0] !== "items";
}

function isObject({ path }: InputEntry): boolean {
  return path.length === 0 || path[0] === "items";
}

/** An object, without the others of the list that it may stand in. */
function alone({ document, path, value }: InputEntry): SourceDocument {
  if (path.length === 0 || !isMapping(document.value)) return document;
  return { source: document.source, index: document.index, value: { ...document.value, items: [value] } };
}

function listOf(path: Path): string {
  return String(path.length === 2 && path[0] === "items" ? "" : (path[0] ?? ""));
}

const NOTHING = { decisions: new Map<InputEntry, Decision>() };

/** Whether a text ends with the bracket of its beginning, as JSON does: it is whole, whatever is wrong in it. */
function isClosed({ text }: SourceText): boolean {
  const whole = text.trim();
  return (whole.startsWith("{") && whole.endsWith("}")) || (whole.startsWith("[") && whole.endsWith("]"));
}
