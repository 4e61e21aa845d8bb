import type { DataPlane } from "../plane/byte-stream.ts";
import type { DescriptorBudget } from "../plane/descriptor-budget.ts";
import type { ClientClassifier } from "../policy/client-classifier.ts";
import type { ConnectionLimiter } from "../policy/connection-limiter.ts";
import type { DialFailure } from "../policy/dial-failure.ts";
import type { ProxyOptions } from "../proxy-options.ts";

/** What the connections of one worker share. */
export interface TcpCarrier<Connection> {
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
  readonly waiting: Set<Connection>;
  readonly dialling: Set<Connection>;
  readonly open: Set<Connection>;
  dialFailed(failure: DialFailure): void;
  ended(connection: Connection): void;
}
