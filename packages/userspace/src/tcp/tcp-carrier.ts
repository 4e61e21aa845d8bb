import type { DataPlane } from "../plane/byte-stream.ts";
import type { DescriptorBudget } from "../plane/descriptor-budget.ts";
import type { ClientClassifier } from "../policy/client-classifier.ts";
import type { ConnectionLimiter } from "../policy/connection-limiter.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import type { WorkerFrontend } from "../policy/worker-frontend.ts";
import type { ProxyOptions } from "../proxy-options.ts";
import type { TcpConnection } from "./tcp-connection.ts";

/** What the connections of one worker share. */
export interface TcpCarrier {
  readonly options: ProxyOptions;
  readonly plane: DataPlane;
  readonly limiter: ConnectionLimiter;
  readonly budget: DescriptorBudget;
  readonly classifier: ClientClassifier;
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic, moved on by the sweep: good to a tenth of a second, and costs nothing. */
  readonly coarseNowMs: number;
  /** `maxConnections` or `maxPerClient` is set. */
  readonly limitsConnections: boolean;
  /** Somebody wants to know each connection's client. */
  readonly alwaysAsksForClient: boolean;
  readonly waiting: Set<TcpConnection>;
  readonly dialling: Set<TcpConnection>;
  readonly open: Set<TcpConnection>;
  dialFailed(failure: DialFailure): void;
  ended(connection: TcpConnection): void;
}

export interface DialFailure {
  readonly frontend: WorkerFrontend;
  readonly endpoint: EndpointState;
  /** The system's error code. */
  readonly code: string;
  /** This host's fault, not the endpoint's. */
  readonly local: boolean;
}
