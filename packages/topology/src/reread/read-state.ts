import type { Fault } from "../errors.ts";
import type { Topology } from "../model.ts";
import type { LoadedDocuments } from "../text/load-documents.ts";
import type { KeptValue, RefusedInput } from "./read-leniently.ts";

/** What a file has, as values. */
export interface LoadedFile {
  readonly file: string;
  /** Another object where the file was loaded anew. */
  readonly loaded: LoadedDocuments;
}

/** What came of a reading. */
export interface ReadState {
  readonly topology: Topology;
  readonly warnings: readonly Fault[];
  /** How many Kubernetes objects there were of each kind that says nothing about services. */
  readonly passedOver: ReadonlyMap<string, number>;
  /** What could not be read, and did not hold up the rest. */
  readonly refused: readonly RefusedInput[];
  /** The last good states that are in the topology instead. */
  readonly kept: readonly KeptValue[];
}
