import type { AccessRecord, ProxyOptions } from "../contract.ts";
import type { Admission, AdmissionRequest } from "../policy/ledger.ts";
import type { DialFailureReport, WorkerPlan, WorkerReading } from "./worker.ts";

/** The pool of slots for all connections; every other pool is a client's own and has its address for a name. */
export const ALL_CONNECTIONS = "";

/** From the supervisor to a worker process. */
export type ToWorker =
  | { readonly kind: "start"; readonly options: ProxyOptions; readonly wantsRecords: boolean }
  | { readonly kind: "plan"; readonly plan: WorkerPlan }
  /** The handle comes along. */
  | { readonly kind: "listen"; readonly key: string }
  | { readonly kind: "unlisten"; readonly key: string }
  | { readonly kind: "down"; readonly endpoints: readonly string[] }
  /** Another worker could not reach this endpoint. */
  | { readonly kind: "failed"; readonly endpoint: string }
  | { readonly kind: "read"; readonly id: number }
  /** Answered by `synced` when everything before it has been done. */
  | { readonly kind: "sync"; readonly id: number }
  | { readonly kind: "drain" }
  | { readonly kind: "close" }
  | { readonly kind: "slots"; readonly pool: string; readonly granted: number }
  /** Somebody else needs the slots that are not in use. */
  | { readonly kind: "give-back"; readonly pool: string }
  | { readonly kind: "admission"; readonly id: number; readonly admission: Admission };

/** From a worker process to the supervisor. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly key: string; readonly code?: string }
  | { readonly kind: "reading"; readonly id: number; readonly reading: WorkerReading }
  | { readonly kind: "synced"; readonly id: number }
  | { readonly kind: "drained" }
  | { readonly kind: "dial-failed"; readonly report: DialFailureReport }
  | { readonly kind: "ended"; readonly records: readonly AccessRecord[] }
  | { readonly kind: "want-slots"; readonly pool: string }
  | { readonly kind: "gave-back"; readonly pool: string; readonly slots: number }
  | { readonly kind: "admit"; readonly id: number; readonly request: AdmissionRequest }
  | { readonly kind: "move"; readonly client: string; readonly choice: AffinityMove };

export interface AffinityMove {
  readonly key: string;
  readonly endpoint: string;
  readonly timeoutMs: number;
}

/** The channel carries only what these programs send to themselves; anything else (the runtime's own) has no such kind. */
export function isToWorker(value: unknown): value is ToWorker {
  return hasKind(value);
}

export function isFromWorker(value: unknown): value is FromWorker {
  return hasKind(value);
}

function hasKind(value: unknown): boolean {
  return typeof value === "object" && value !== null && "kind" in value && typeof value.kind === "string";
}
