import type { Fault } from "../errors.ts";
import type { FaultCode } from "../fault-code.ts";
import type { SourceDocument } from "./source-document.ts";

export type Path = readonly (string | number)[];

/** Where in a document something is wrong. */
export interface DocumentPath {
  readonly document: SourceDocument;
  readonly path: Path;
  /** The key itself, where the value under it is not to blame. */
  readonly atKey?: boolean;
}

/** A fault that knows its place in the data, not yet in the text. */
export interface PathFault {
  readonly severity: Fault["severity"];
  readonly code: FaultCode;
  readonly message: string;
  readonly hint?: string;
  readonly place: DocumentPath;
  /** Where the other of two that exclude each other stands; its line goes into the hint. */
  readonly first?: DocumentPath;
}

/** So many are kept in full; a file of 64 MiB can have millions, which no one reads and no memory holds. */
export const MAX_FAULTS = 100_000;

/** Gathers all that is wrong with the input, so that one run names every fault. */
export class FaultReport {
  readonly #faults: PathFault[] = [];
  /** Made for the first fault: most of thousands of objects have none. */
  #said: Set<string> | undefined;
  #leftOut = 0;
  #leftOutErrors = 0;

  error(code: FaultCode, place: DocumentPath, message: string, hint?: string): void {
    this.#add("error", { code, place, message, hint });
  }

  warning(code: FaultCode, place: DocumentPath, message: string, hint?: string): void {
    this.#add("warning", { code, place, message, hint });
  }

  /** An error of something that stands a second time. */
  errorAgain(code: FaultCode, place: DocumentPath, { first, message }: { first: DocumentPath; message: string }): void {
    this.#keep({ severity: "error", code, place, message, first });
  }

  warningAgain(
    code: FaultCode,
    place: DocumentPath,
    { first, message }: { first: DocumentPath; message: string },
  ): void {
    this.#keep({ severity: "warning", code, place, message, first });
  }

  /** Whether further faults are only counted, so that what they would say need not be found out. */
  get isFull(): boolean {
    return this.#faults.length >= MAX_FAULTS;
  }

  get faults(): readonly PathFault[] {
    return this.#faults;
  }

  /** What says that there were more than are kept; as grave as the worst of them. */
  get leftOut(): Fault | undefined {
    if (this.#leftOut === 0) return undefined;
    return {
      severity: this.#leftOutErrors > 0 ? "error" : "warning",
      code: "TOO_MANY_FAULTS",
      message: `Of ${MAX_FAULTS + this.#leftOut} faults the first ${MAX_FAULTS} that were found are listed`,
    };
  }

  #keep(fault: PathFault): void {
    if (!this.isFull) {
      this.#faults.push(fault);
      return;
    }
    this.#leftOut++;
    if (fault.severity === "error") this.#leftOutErrors++;
  }

  #add(
    severity: Fault["severity"],
    { hint, ...rest }: { code: FaultCode; place: DocumentPath; message: string; hint: string | undefined },
  ): void {
    // Those that are only counted may count double: to tell eight million of them apart takes longer than to read the file.
    if (!this.isFull) {
      // A field that is read for two purposes is still wrong once.
      const { source, index } = rest.place.document;
      const key = JSON.stringify([source.file, index, rest.place.path, rest.message]);
      this.#said ??= new Set();
      if (this.#said.has(key)) return;
      this.#said.add(key);
    }
    this.#keep({ severity, ...rest, ...(hint === undefined ? {} : { hint }) });
  }
}
