import type { Fault } from "./errors.ts";
import type { FaultCode } from "./fault-code.ts";
import type { SourceDocument } from "./source-document.ts";

export type Path = readonly (string | number)[];

/** Where in a document something is wrong. */
export interface Place {
  readonly document: SourceDocument;
  readonly path: Path;
  /** The key itself, where the value under it is not to blame. */
  readonly atKey?: boolean;
}

/** A fault that knows its place in the data, not yet in the text. */
export interface PlacedFault {
  readonly severity: Fault["severity"];
  readonly code: FaultCode;
  readonly message: string;
  readonly hint?: string;
  readonly place: Place;
  /** Where the other of two that exclude each other stands; its line goes into the hint. */
  readonly first?: Place;
}

/** Gathers all that is wrong with the input, so that one run names every fault. */
export class FaultReport {
  readonly #faults: PlacedFault[] = [];
  readonly #said = new Set<string>();

  error(code: FaultCode, place: Place, message: string, hint?: string): void {
    this.#add("error", { code, place, message, hint });
  }

  warning(code: FaultCode, place: Place, message: string, hint?: string): void {
    this.#add("warning", { code, place, message, hint });
  }

  /** An error of something that stands a second time. */
  errorAgain(code: FaultCode, place: Place, { first, message }: { first: Place; message: string }): void {
    this.#faults.push({ severity: "error", code, place, message, first });
  }

  get faults(): readonly PlacedFault[] {
    return this.#faults;
  }

  #add(
    severity: Fault["severity"],
    { hint, ...rest }: { code: FaultCode; place: Place; message: string; hint: string | undefined },
  ): void {
    // A field that is read for two purposes is still wrong once.
    const { source, index } = rest.place.document;
    const key = JSON.stringify([source.file, index, rest.place.path, rest.message]);
    if (this.#said.has(key)) return;
    this.#said.add(key);
    this.#faults.push({ severity, ...rest, ...(hint === undefined ? {} : { hint }) });
  }
}
