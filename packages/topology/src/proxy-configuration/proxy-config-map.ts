import type { Fault } from "../errors.ts";
import { type LoadedDocuments, loadDocuments } from "../text/load-documents.ts";
import { locateFaults } from "../text/locate-faults.ts";
import { isMapping, type SourceDocument, type SourceText } from "../text/source-document.ts";

/**
 * The documents, and in the place of each ConfigMap that holds a text of `kind` (as kubeadm's `kube-proxy` does under `config.conf`) the
 * documents of that text. Their places are those of the ConfigMap's file where it has the text line by line, else lines of the text.
 *
 * @throws InputError where the text inside cannot be read
 */
export function unpackConfigMap({ documents, faults }: LoadedDocuments, kind: string): LoadedDocuments {
  const unpacked: SourceDocument[] = [];
  const found: Fault[] = [...faults];
  for (const document of documents) {
    const inner = findText(document, kind);
    if (inner === undefined) {
      unpacked.push(document);
      continue;
    }
    const loaded = loadDocuments(innerSource(document, inner));
    unpacked.push(...loaded.documents);
    found.push(...loaded.faults);
  }
  return { documents: unpacked, faults: found };
}

interface InnerText {
  readonly path: readonly (string | number)[];
  readonly key: string;
  readonly text: string;
}

/** The first text of a ConfigMap, be it in a list, that holds an object of the kind. */
function findText({ value }: SourceDocument, kind: string): InnerText | undefined {
  if (!isMapping(value)) return undefined;
  const items: readonly unknown[] = Array.isArray(value["items"]) ? value["items"] : [];
  const candidates = [
    { path: [] as (string | number)[], value },
    ...items.map((item, index) => ({ path: ["items", index], value: item })),
  ];
  for (const { path, value: candidate } of candidates) {
    if (!isMapping(candidate) || candidate["kind"] !== "ConfigMap" || !isMapping(candidate["data"])) continue;
    for (const [key, text] of Object.entries(candidate["data"])) {
      if (typeof text === "string" && holdsKind(text, kind)) return { path: [...path, "data", key], key, text };
    }
  }
  return undefined;
}

function holdsKind(text: string, kind: string): boolean {
  return new RegExp(`^[ {,]*"?kind"?: *"?${kind}\\b`, "m").test(text);
}

function innerSource(document: SourceDocument, { path, key, text }: InnerText): SourceText {
  const { source } = document;
  const [located] = locateFaults([{ severity: "error", code: "SYNTAX", message: "", place: { document, path } }]);
  const shift = shiftOf(text, { outer: source.text, near: located?.at?.line ?? 1 });
  return shift === undefined ? { file: `${source.file} (${key})`, text } : { file: source.file, text, shift };
}

/** How a block scalar moves the lines of its text: undefined where the outer text does not have them one by one. */
function shiftOf(
  text: string,
  { outer, near }: { readonly outer: string; readonly near: number },
): SourceText["shift"] | undefined {
  const inner = text.split("\n").filter((_, index, lines) => index < lines.length - 1 || lines[index] !== "");
  const first = inner.findIndex((line) => line.trim() !== "");
  if (first < 0) return undefined;
  const lines = outer.split(/\r?\n/);
  // The value begins where its first line is, or on the line above it with `|`.
  for (const line of [near - 1, near]) {
    const start = line - first;
    const columns = (lines[start + first] ?? "").length - (inner[first] ?? "").length;
    const isSame = (part: string, index: number) =>
      part.trim() === ""
        ? (lines[start + index] ?? "").trim() === ""
        : lines[start + index] === " ".repeat(columns) + part;
    if (columns >= 0 && inner.every(isSame)) return { lines: start, columns };
  }
  return undefined;
}
