import type { KubernetesOptions } from "../kubernetes/parse-kubernetes.ts";
import type { SourceDocument } from "../text/source-document.ts";
import { ObjectFiles } from "./object-files.ts";
import { type KeptValue, OF_ANOTHER_READER, readLeniently } from "./read-leniently.ts";
import type { LoadedFile, ReadState } from "./read-state.ts";

/**
 * Reads the same files again and again, as they change. One entry with a fault does not hold up the rest: its last good state stays. Where
 * each file has Services of its own, one that changes costs the reading of what it has, not of all.
 */
export class InputReader {
  readonly #options: Omit<KubernetesOptions, "configuration">;
  #good: readonly SourceDocument[] = [];
  #objects: ObjectFiles | undefined;

  /** @param kept last good states that another reader of the same files had */
  constructor(options: Omit<KubernetesOptions, "configuration"> = {}, kept: readonly KeptValue[] = []) {
    this.#options = options;
    this.#good = kept.length === 0 ? [] : documentsOf(kept);
  }

  /**
   * @param files in their order; at least one document
   * @throws InputError where nothing can be taken of it; what was read before stays the last good state
   */
  read(files: readonly LoadedFile[], { configuration }: Pick<KubernetesOptions, "configuration"> = {}): ReadState {
    const options = { ...this.#options, ...(configuration === undefined ? {} : { configuration }) };
    const quick = this.#objects?.reread(files, options);
    if (quick !== undefined) return quick;
    const good = this.#objects?.documents() ?? this.#good;
    const loaded = {
      documents: files.flatMap((file) => file.loaded.documents),
      faults: files.flatMap((file) => file.loaded.faults),
    };
    const { documents, ...state } = readLeniently(loaded, { ...options, good });
    const isObjects = state.topology.source === "kubernetes";
    this.#objects = isObjects ? ObjectFiles.of(files, { state, options, documents }) : undefined;
    // Whoever knows them file by file holds none that has been replaced since.
    this.#good = this.#objects === undefined ? documents : [];
    return this.#objects?.state ?? state;
  }
}

/** As if they had stood in a file. */
function documentsOf(kept: readonly KeptValue[]): readonly SourceDocument[] {
  const documentOf = (value: unknown, index: number) => ({
    source: { file: OF_ANOTHER_READER, text: "" },
    index,
    value,
  });
  const [objects, parts] = [kept.filter(({ list }) => list === ""), kept.filter(({ list }) => list !== "")];
  const lists = Map.groupBy(parts, ({ list }) => list);
  const topology = Object.fromEntries(
    [...lists].map(([list, values]) => [list, list === "node" ? values[0]?.value : values.map(({ value }) => value)]),
  );
  return [topology, ...objects.map(({ value }) => value)].map(documentOf);
}
