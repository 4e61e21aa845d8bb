import type { Path } from "../text/fault-report.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";

/** A part of the input that can be refused without the rest: a host, a service, the settings; or a Kubernetes object. */
export interface InputEntry {
  /** `service`, `host`, `node settings`, or the object's kind; `document` where it is nothing of that kind, as what was cut off. */
  readonly kind: string;
  /** As people call it, for instance `service default/web`; undefined where it does not say its name. */
  readonly name: string | undefined;
  readonly document: SourceDocument;
  /** Its place in the document; empty: all of it. */
  readonly path: Path;
  readonly value: unknown;
}

/** What `document` consists of. */
export function entriesOf(document: SourceDocument): readonly InputEntry[] {
  const { value } = document;
  if (!isMapping(value)) return [{ kind: "document", name: undefined, document, path: [], value }];
  if (typeof value["kind"] === "string") {
    const { kind, items } = value;
    if (!(kind.endsWith("List") && Array.isArray(items))) return [objectEntry(value, { document, path: [], kind })];
    const implied = kind === "List" ? undefined : kind.slice(0, -"List".length);
    return items.map((item: unknown, index) => objectEntry(item, { document, path: ["items", index], kind: implied }));
  }
  const list = (key: string, toEntry: (item: unknown, path: Path) => InputEntry): readonly InputEntry[] => {
    const items = value[key];
    return Array.isArray(items) ? items.map((item: unknown, index) => toEntry(item, [key, index])) : [];
  };
  const entries = [
    ...list("hosts", (item, path) => {
      const name = textOf(item, "name");
      return { kind: "host", name: name === undefined ? name : `host ${name}`, document, path, value: item };
    }),
    ...list("services", (item, path) => {
      const [name, namespace = "default"] = [textOf(item, "name"), textOf(item, "namespace")];
      const called = name === undefined ? name : `service ${namespace}/${name}`;
      return { kind: "service", name: called, document, path, value: item };
    }),
    ...("node" in value
      ? [{ kind: "node settings", name: "the node settings", document, path: ["node"], value: value["node"] }]
      : []),
  ];
  const isCutOff = entries.length === 0 && "apiVersion" in value;
  return isCutOff ? [{ kind: "document", name: undefined, document, path: [], value }] : entries;
}

const OF_CLUSTER: ReadonlySet<string> = new Set(["Node", "ServiceCIDR"]);

function objectEntry(
  value: unknown,
  { document, path, kind: implied = "object" }: { document: SourceDocument; path: Path; kind: string | undefined },
): InputEntry {
  const kind = textOf(value, "kind") ?? implied;
  const metadata = isMapping(value) ? value["metadata"] : undefined;
  const [name, namespace = "default"] = [textOf(metadata, "name"), textOf(metadata, "namespace")];
  const called = name === undefined ? name : OF_CLUSTER.has(kind) ? `${kind} ${name}` : `${kind} ${namespace}/${name}`;
  return { kind, name: called, document, path, value };
}

function textOf(value: unknown, key: string): string | undefined {
  const text = isMapping(value) ? value[key] : undefined;
  return typeof text === "string" && text !== "" ? text : undefined;
}
