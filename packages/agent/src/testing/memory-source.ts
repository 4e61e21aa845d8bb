import type { InputError, Problem, Topology } from "@svcproxy/topology";
import { problemOf } from "@svcproxy/topology";
import { RefusedEntries } from "../refused-entries.ts";
import { shareUnchanged } from "../share-unchanged.ts";
import type { BegunChange, RefusedEntry, Source, SourceEvent, SourceSnapshot } from "../source.ts";

type State =
  | {
      readonly kind: "topology";
      readonly topology: Topology;
      readonly complete: boolean;
      readonly refused: readonly RefusedEntry[];
      readonly begun: readonly BegunChange[];
      readonly isMeant?: boolean;
    }
  | { readonly kind: "fault"; readonly error: InputError };

/** A source that is told its state: for tests of whoever follows one. */
export class MemorySource implements Source {
  readonly name = "memory";
  readonly #refused = new RefusedEntries();
  #topology: Topology | undefined;
  #state: State | undefined;
  #changed: () => void = () => {};

  /**
   * @param options.complete false while only a part has come
   * @param options.begun changes of endpoints that it is the first to tell
   * @param options.isMeant whether what is gone was said to go
   */
  set(
    topology: Topology,
    {
      complete = true,
      begun = [],
      isMeant = false,
    }: { complete?: boolean; begun?: readonly BegunChange[]; isMeant?: boolean } = {},
  ): void {
    this.#topology = topology;
    this.#refused.become([]);
    this.#become({ kind: "topology", topology, complete, refused: [], begun, isMeant });
  }

  /** The last word of an entry cannot be taken. */
  refuse(entry: string, problem: Problem): void {
    const topology = this.#topology;
    if (topology === undefined) throw new TypeError("it was told no topology");
    this.#refused.refuse(entry, { problems: [problem], isKept: true });
    this.#become({ kind: "topology", topology, complete: true, refused: this.#refused.list(), begun: [] });
  }

  fail(error: InputError): void {
    this.#become({ kind: "fault", error });
  }

  #become(state: State): void {
    this.#state = state;
    this.#changed();
  }

  async *follow(signal: AbortSignal): AsyncGenerator<SourceEvent, void, undefined> {
    let told: State | undefined;
    let last: SourceSnapshot | undefined;
    while (!signal.aborted) {
      const state = this.#state;
      if (state === undefined || state === told) {
        await this.#untilChanged(signal);
        continue;
      }
      told = state;
      if (state.kind === "fault") {
        const [first, ...others] = state.error.faults;
        yield { kind: "problem", problems: [problemOf(first), ...others.map(problemOf)], error: state.error };
      } else {
        last = {
          kind: "snapshot",
          warnings: [],
          complete: state.complete,
          refused: state.refused,
          begun: state.begun,
          isMeant: state.isMeant ?? false,
          ...shareUnchanged(state.topology, last?.topology),
        };
        yield last;
      }
    }
  }

  async #untilChanged(signal: AbortSignal): Promise<void> {
    const changed = Promise.withResolvers<void>();
    this.#changed = changed.resolve;
    signal.addEventListener("abort", () => changed.resolve(), { once: true });
    await changed.promise;
  }
}
