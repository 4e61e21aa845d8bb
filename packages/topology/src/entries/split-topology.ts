import { dump } from "js-yaml";
import { readTopologyDocuments } from "../file/parse-topology.ts";
import { isKubernetesDocument } from "../read-input.ts";
import { fileFault } from "../text/decode-text.ts";
import type { ParsedTopology } from "../text/finish-reading.ts";
import { loadInput } from "../text/load-documents.ts";
import type { InputFile } from "../text/source-document.ts";
import { isMapping } from "../text/source-document.ts";
import { type EntryKey, formatEntryKey, parseEntryKey } from "./entry-key.ts";
import type { EntryOrder } from "./entry-topology.ts";

/** A topology file taken apart. */
export interface SplitTopology extends ParsedTopology {
  /** Value of each entry by its key: `services/default/web`. */
  readonly entries: ReadonlyMap<string, Readonly<Record<string, unknown>>>;
  /** Undefined where hosts and services are in the order of their names. */
  readonly order: EntryOrder | undefined;
}

/**
 * Takes a topology file apart into entries.
 *
 * @param options.namespace that of services that name none
 * @throws InputError with every fault of the file
 */
export function splitTopology(
  file: InputFile,
  { namespace: unnamed = "default" }: { readonly namespace?: string } = {},
): SplitTopology {
  const loaded = loadInput([file]);
  if (loaded.documents.some(isKubernetesDocument)) {
    throw fileFault(
      "WRONG_TYPE",
      file.file,
      "These are Kubernetes objects, and what is taken apart is a topology file",
      {
        hint: "Follow the cluster itself: svcproxy run kubernetes",
      },
    );
  }
  // Only what can be read is taken apart: from here on hosts and services are lists of mappings with names.
  const parsed = readTopologyDocuments(loaded);
  const [document] = loaded.documents;
  const value = isMapping(document?.value) ? document.value : {};
  const entries = new Map<string, Readonly<Record<string, unknown>>>();
  const put = (key: EntryKey, entry: Readonly<Record<string, unknown>>) => entries.set(formatEntryKey(key), entry);
  for (const host of mappingsAt(value, "hosts")) {
    const { name, ...rest } = host;
    put({ kind: "host", name: String(name) }, rest);
  }
  for (const service of mappingsAt(value, "services")) {
    const { name, namespace = unnamed, ...rest } = service;
    put({ kind: "service", namespace: String(namespace), name: String(name) }, rest);
  }
  if (isMapping(value["node"])) put({ kind: "settings" }, value["node"]);
  const names = (folder: string) => [...entries.keys()].filter((path) => path.startsWith(folder)).map(nameOfPath);
  const order = { hosts: names("hosts/"), services: names("services/") };
  return { ...parsed, entries, order: isSorted(order.hosts) && isSorted(order.services) ? undefined : order };
}

/** Entries put together as a topology file again; `renderEntry` makes a text of it. */
export function joinTopology(
  entries: readonly { readonly key: EntryKey; readonly value: Readonly<Record<string, unknown>> }[],
  order: EntryOrder = { hosts: [], services: [] },
): Readonly<Record<string, unknown>> {
  const hosts: Named[] = [];
  const services: Named[] = [];
  let node: Readonly<Record<string, unknown>> | undefined;
  for (const { key, value } of entries) {
    if (key.kind === "host") hosts.push({ name: key.name, value: { name: key.name, ...value } });
    else if (key.kind === "settings") node = value;
    else if (key.kind === "service") {
      const namespace = key.namespace === "default" ? {} : { namespace: key.namespace };
      services.push({ name: `${key.namespace}/${key.name}`, value: { name: key.name, ...namespace, ...value } });
    }
  }
  return {
    hosts: inOrder(hosts, order.hosts),
    ...(services.length === 0 ? {} : { services: inOrder(services, order.services) }),
    ...(node === undefined ? {} : { node }),
  };
}

/** An entry's value as YAML, which reads back as the same. */
export function renderEntry(value: Readonly<Record<string, unknown>>): string {
  return dump(value, { lineWidth: 120, noRefs: true });
}

interface Named {
  readonly name: string;
  readonly value: Readonly<Record<string, unknown>>;
}

function inOrder(items: readonly Named[], order: readonly string[]) {
  const places = new Map(order.map((name, index) => [name, index]));
  const placeOf = ({ name }: Named) => places.get(name) ?? places.size;
  return items.toSorted((a, b) => placeOf(a) - placeOf(b) || (a.name < b.name ? -1 : 1)).map(({ value }) => value);
}

function mappingsAt(value: Readonly<Record<string, unknown>>, key: string) {
  const list = value[key];
  return Array.isArray(list) ? list.filter(isMapping) : [];
}

function isSorted(names: readonly string[]): boolean {
  return names.every((name, index) => index === 0 || (names[index - 1] ?? "") < name);
}

/** As `EntryOrder` has it: `web1`, `default/web`. */
function nameOfPath(path: string): string {
  const key = parseEntryKey(path);
  if (key?.kind === "host") return key.name;
  return key?.kind === "service" ? `${key.namespace}/${key.name}` : path;
}
