import type { Problem, SvcproxyError, Topology } from "@svcproxy/topology";

/** Where the topology comes from and goes on coming from: files, a cluster, a store. */
export interface Source {
  /** As people call it, for instance `/etc/svcproxy/topology.yaml`. */
  readonly name: string;
  /** When it last gave a sign of life; absent: a source that can be read whenever one wants to, so that silence says nothing. */
  readonly lastHeard?: () => Date;
  /**
   * The state as it is, then what becomes of it. Whoever takes the next event only when the last one is dealt with gets all that
   * changed meanwhile in one.
   *
   * It ends when `signal` is aborted, without an error, and not before; what is wrong with the source is an event. One at a time.
   */
  follow(signal: AbortSignal): AsyncIterable<SourceEvent>;
}

export type SourceEvent = SourceSnapshot | SourceProblem;

/** The whole state; ends every problem that was told before. */
export interface SourceSnapshot {
  readonly kind: "snapshot";
  /** Shares with the snapshot before it each host, service and setting that has stayed. */
  readonly topology: Topology;
  readonly changed: ChangedServices;
  /** What deserves a second look although it could be read: all of it, also what was told before. */
  readonly warnings: readonly Problem[];
  /** False while only a part has come; nothing may be taken away by it. */
  readonly complete: boolean;
}

/**
 * What differs from the snapshot before: services as `namespace/name`, those that came, those that went and those that are otherwise; or
 * everything, where what all services depend on (hosts, settings) differs, and with the first one.
 */
export type ChangedServices = "everything" | ReadonlySet<string>;

/** Why there is no newer state; what was told before still holds. */
export interface SourceProblem {
  readonly kind: "problem";
  readonly problems: readonly [Problem, ...Problem[]];
  /** What whoever starts with it, and cannot go on without a state, ends with. */
  readonly error: SvcproxyError;
}
