import type { ProxyOptions } from "../contract.ts";
import type { DataPlane } from "../plane/byte-stream.ts";
import type { DescriptorBudget } from "../plane/descriptor-budget.ts";
import type { AdmissionDesk } from "../policy/admission-desk.ts";
import type { ClientClassifier } from "../policy/client-classifier.ts";
import type { EndpointState } from "../policy/endpoint-table.ts";
import type { FrontendState } from "../policy/frontend-state.ts";
import type { TcpConnection } from "./tcp-connection.ts";

/** What the connections of one worker share. */
export interface TcpCarrier {
  readonly options: ProxyOptions;
  readonly plane: DataPlane;
  readonly desk: AdmissionDesk;
  readonly budget: DescriptorBudget;
  readonly classifier: ClientClassifier;
  /** In [0, 1). */
  readonly random: () => number;
  /** Monotonic, moved on by the sweep: good to a tenth of a second, and costs nothing. */
  readonly coarseNowMs: number;
  /** `maxPerClient` is set. */
  readonly countsClients: boolean;
  /** Somebody wants to know each connection's client. */
  readonly alwaysAsksForClient: boolean;
  readonly waiting: Set<TcpConnection>;
  readonly dialling: Set<TcpConnection>;
  readonly open: Set<TcpConnection>;
  dialFailed(failure: DialFailure): void;
  ended(connection: TcpConnection): void;
}

export interface DialFailure {
  readonly frontend: FrontendState;
  readonly endpoint: EndpointState;
  /** The system's error code. */
  readonly code: string;
  /** This host's fault, not the endpoint's. */
  readonly local: boolean;
}
