import type { Path } from "../text/fault-report.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import { entriesOf, type InputEntry } from "./input-entry.ts";

/** What becomes of an entry that has a fault. */
export type Decision = { readonly kind: "replace"; readonly value: unknown } | { readonly kind: "drop" };

/** A document in which some entries are replaced or left out, and the way back from its places to those of the text. */
export class DocumentDraft {
  /** Undefined where nothing of it is left. */
  readonly document: SourceDocument | undefined;
  readonly #entries: readonly InputEntry[];
  /** The entries of each list that are left, in its order. */
  readonly #lists = new Map<string | number, readonly InputEntry[]>();

  /** @param more values to append, by their list */
  constructor(
    original: SourceDocument,
    {
      decisions,
      more = new Map(),
    }: {
      readonly decisions: ReadonlyMap<InputEntry, Decision>;
      readonly more?: ReadonlyMap<string, readonly unknown[]>;
    },
  ) {
    this.#entries = entriesOnce(original);
    const isTouched = more.size > 0 || this.#entries.some((entry) => decisions.has(entry));
    this.document = isTouched ? this.#draft(original, { decisions, more }) : original;
    if (!isTouched)
      for (const [key, list] of Map.groupBy(this.#entries, ({ path }) => path[0] ?? "")) this.#lists.set(key, list);
  }

  #draft(
    original: SourceDocument,
    {
      decisions,
      more,
    }: {
      readonly decisions: ReadonlyMap<InputEntry, Decision>;
      readonly more: ReadonlyMap<string, readonly unknown[]>;
    },
  ): SourceDocument | undefined {
    const valueNow = (entry: InputEntry) => {
      const decision = decisions.get(entry);
      return decision?.kind === "replace" ? decision.value : entry.value;
    };
    const kept = this.#entries.filter((entry) => decisions.get(entry)?.kind !== "drop");
    const byList = Map.groupBy(kept, ({ path }) => path[0] ?? "");
    const [whole] = byList.get("") ?? [];
    if (whole !== undefined) {
      this.#lists.set("", [whole]);
      return { source: original.source, index: original.index, value: valueNow(whole) };
    }
    if (this.#entries.some(({ path }) => path.length === 0)) return undefined;
    const value: Record<string, unknown> = isMapping(original.value) ? { ...original.value } : {};
    for (const key of new Set([...this.#entries.map(({ path }) => String(path[0])), ...more.keys()])) {
      const list = byList.get(key) ?? [];
      this.#lists.set(key, list);
      if (Array.isArray(value[key]) || more.has(key)) value[key] = [...list.map(valueNow), ...(more.get(key) ?? [])];
      else if (list[0] === undefined) delete value[key];
      else value[key] = valueNow(list[0]);
    }
    return { source: original.source, index: original.index, value };
  }

  /** Whose part a place of the draft is, and where that is in the text; undefined: nobody's. */
  owner(path: Path): { readonly entry: InputEntry; readonly path: Path } | undefined {
    const [whole] = this.#lists.get("") ?? [];
    if (whole !== undefined) return { entry: whole, path };
    const [key = "", index = 0] = path;
    const list = this.#lists.get(key);
    const [only] = list ?? [];
    if (only?.path.length === 1) return { entry: only, path };
    const entry = list?.[Number(index)];
    return entry === undefined ? undefined : { entry, path: [...entry.path, ...path.slice(2)] };
  }
}

const known = new WeakMap<SourceDocument, readonly InputEntry[]>();

/** The same objects each time, so that they can be compared. */
export function entriesOnce(document: SourceDocument): readonly InputEntry[] {
  const before = known.get(document);
  if (before !== undefined) return before;
  const entries = entriesOf(document);
  known.set(document, entries);
  return entries;
}
