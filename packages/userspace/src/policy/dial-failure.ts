import type { EndpointState } from "./endpoint-table.ts";
import type { WorkerFrontend } from "./worker-frontend.ts";

/** An endpoint that could not be reached. */
export interface DialFailure {
  readonly frontend: WorkerFrontend;
  readonly endpoint: EndpointState;
  /** The system's error code. */
  readonly code: string;
  /** This host's fault, not the endpoint's. */
  readonly local: boolean;
}
