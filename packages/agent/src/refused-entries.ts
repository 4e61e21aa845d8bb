import type { Problem } from "@svcproxy/topology";
import type { RefusedEntry } from "./source.ts";

/** Which entries of a source are refused, and since when each one is. */
export class RefusedEntries {
  readonly #entries = new Map<string, RefusedEntry>();

  /** Its last word has a fault. */
  refuse(
    entry: string,
    { problems, isKept }: { readonly problems: readonly [Problem, ...Problem[]]; readonly isKept: boolean },
  ): void {
    this.#entries.set(entry, { entry, since: this.#entries.get(entry)?.since ?? new Date(), isKept, problems });
  }

  /** It is as it should be, or gone. */
  accept(entry: string): void {
    this.#entries.delete(entry);
  }

  /** These are all: others that were refused are not any more. */
  become(
    refused: Iterable<{
      readonly entry: string;
      readonly problems: readonly [Problem, ...Problem[]];
      readonly isKept: boolean;
    }>,
  ): void {
    const names = new Set<string>();
    for (const { entry, ...rest } of refused) {
      names.add(entry);
      this.refuse(entry, rest);
    }
    for (const entry of this.#entries.keys()) if (!names.has(entry)) this.accept(entry);
  }

  /** For `SourceSnapshot.refused`, in the order in which they were refused. */
  list(): readonly RefusedEntry[] {
    return [...this.#entries.values()];
  }
}
