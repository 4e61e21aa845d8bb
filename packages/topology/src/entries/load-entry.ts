import { type Fault, InputError } from "../errors.ts";
import { loadInput } from "../text/load-documents.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import type { EntryKey } from "./entry-key.ts";

/** An entry as it came from a store. */
export interface StoredEntry {
  readonly key: EntryKey;
  /** How faults name it, for instance `/svcproxy/services/default/web (revision 17)`. */
  readonly label: string;
  readonly bytes: Uint8Array;
}

/** An entry whose text could be read: a mapping. */
export interface LoadedEntry {
  readonly key: EntryKey;
  readonly document: SourceDocument;
  readonly value: Readonly<Record<string, unknown>>;
}

/**
 * Reads the text of one entry, YAML or JSON.
 *
 * @throws InputError with each fault and its place
 */
export function loadEntry({ key, label, bytes }: StoredEntry): LoadedEntry {
  const { documents, faults } = loadInput([{ file: label, bytes }]);
  const [document, another] = documents;
  if (document === undefined) throw new TypeError("there is no document to read");
  const at = { file: label, line: 1, column: 1 };
  const more: Fault[] = [];
  if (another !== undefined)
    more.push({
      severity: "error",
      code: "SEVERAL_DOCUMENTS",
      message: "An entry is one document, and this has more",
      at,
    });
  const { value } = document;
  if (isMapping(value) && faults.length + more.length === 0) return { key, document, value };
  if (!isMapping(value))
    more.push({ severity: "error", code: "WRONG_TYPE", message: "An entry must be a mapping", at });
  const [first, ...others] = [...faults, ...more];
  if (first === undefined) throw new TypeError("it has no fault");
  throw new InputError([first, ...others]);
}

/** The entry as the topology file has it: with its name. What the value says of it must be the same. */
export function valueWithName({ key, value }: LoadedEntry): Readonly<Record<string, unknown>> {
  switch (key.kind) {
    case "host":
      return { ...value, name: key.name };
    case "service":
      return { ...value, name: key.name, namespace: key.namespace };
    case "settings":
    case "endpoint":
      return value;
  }
}

/** What a value says of its name, where it says something else than its key. */
export function misnamedFault({ key, value, document }: LoadedEntry): Fault | undefined {
  const wanted = key.kind === "host" ? { name: key.name } : key.kind === "service" ? namesOf(key) : {};
  for (const [name, meant] of Object.entries(wanted)) {
    const said = value[name];
    if (said === undefined || said === meant) continue;
    const message = `\`${name}\` is ${JSON.stringify(said)}, and the key says ${JSON.stringify(meant)}`;
    const at = { file: document.source.file, line: 1, column: 1 };
    return { severity: "error", code: "CONFLICTING_KEYS", message, at, hint: `Leave \`${name}\` out` };
  }
  return undefined;
}

function namesOf({ namespace, name }: { readonly namespace: string; readonly name: string }) {
  return { name, namespace };
}
