import type { InputError, Topology } from "@svcproxy/topology";
import { problemOf } from "@svcproxy/topology";
import { shareUnchanged } from "../share-unchanged.ts";
import type { Source, SourceEvent, SourceSnapshot } from "../source.ts";

type State =
  | { readonly kind: "topology"; readonly topology: Topology; readonly complete: boolean }
  | { readonly kind: "fault"; readonly error: InputError };

/** A source that is told its state: for tests of whoever follows one. */
export class MemorySource implements Source {
  readonly name = "memory";
  #state: State | undefined;
  #changed: () => void = () => {};

  /** @param options.complete false while only a part has come */
  set(topology: Topology, { complete = true }: { complete?: boolean } = {}): void {
    this.#become({ kind: "topology", topology, complete });
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
