import type { MeasuredServices } from "../counters/service-metrics.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import type { MeasuredWork } from "./measured-work.ts";

/** What the metrics are made of. */
export interface MeasuredAgent extends MeasuredServices, MeasuredWork {
  readonly status: HostAgentStatus;
  /** Answers of `/healthz` and `/livez` by HTTP code. */
  readonly healthz: ReadonlyMap<number, number>;
  readonly livez: ReadonlyMap<number, number>;
}
