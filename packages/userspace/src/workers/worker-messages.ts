import type { ConnectionQuestion } from "@svcproxy/host";
import type { AccessRecord } from "../access-record.ts";
import type { AffinityChoice } from "../policy/affinity-table.ts";
import type { Admission, AdmissionRequest } from "../policy/connection-limiter.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import type { ShareReport } from "./connection-shares.ts";
import type { WorkerChange } from "./worker-change.ts";
import type { WorkerConnections } from "./worker-connections.ts";
import type { DialFailureReport, OverLimitReport, ReadingPart } from "./worker-reports.ts";

/** From the supervisor to a worker process. */
export type ToWorker =
  | { readonly kind: "start"; readonly options: ProxyOptions; readonly wantsRecords: boolean }
  | { readonly kind: "change"; readonly change: WorkerChange }
  /** The handle comes along. */
  | { readonly kind: "listen"; readonly key: string }
  | { readonly kind: "unlisten"; readonly key: string }
  | { readonly kind: "down"; readonly endpoints: readonly string[] }
  /** Another worker could not reach this endpoint. */
  | { readonly kind: "failed"; readonly endpoint: string }
  | { readonly kind: "read"; readonly id: number }
  /** Answered by `connections`. */
  | { readonly kind: "list"; readonly id: number; readonly question: ConnectionQuestion }
  /** Answered by `synced` when everything before it has been done. */
  | { readonly kind: "sync"; readonly id: number }
  | { readonly kind: "drain" }
  | { readonly kind: "close" }
  /** Answers to `limiter`, in its order. */
  | { readonly kind: "admissions"; readonly admissions: readonly Admission[] }
  /** Answered by `share-used`. */
  | { readonly kind: "report-use"; readonly round: number }
  | { readonly kind: "share"; readonly share: number };

/** From a worker process to the supervisor. */
export type FromWorker =
  | { readonly kind: "ready" }
  | { readonly kind: "listening"; readonly key: string; readonly code?: string }
  /** Part of an answer to `read`, in its order. */
  | { readonly kind: "reading"; readonly id: number; readonly part: ReadingPart; readonly isLast: boolean }
  | { readonly kind: "connections"; readonly id: number; readonly found: WorkerConnections }
  | { readonly kind: "synced"; readonly id: number }
  | { readonly kind: "drained" }
  | { readonly kind: "dial-failed"; readonly report: DialFailureReport }
  | { readonly kind: "over-limit"; readonly report: OverLimitReport }
  | { readonly kind: "refused"; readonly frontend: string }
  | { readonly kind: "ended"; readonly records: readonly AccessRecord[] }
  /** What one turn of a worker's event loop asks of the limiter; clients that left first. Answered by `admissions` where something asks for one. */
  | { readonly kind: "limiter"; readonly left: readonly string[]; readonly requests: readonly AdmissionRequest[] }
  | { readonly kind: "share-wanted" }
  | ({ readonly kind: "share-used" } & ShareReport)
  | { readonly kind: "move"; readonly client: string; readonly choice: AffinityChoice }
  /** Something of ours went wrong and was passed over. */
  | { readonly kind: "fault"; readonly stack: string };

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
