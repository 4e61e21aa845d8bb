import type { ApplyOptions, ConnectionQuestion, Connections } from "@svcproxy/host";
import type { HostPlan } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { AccessRecord } from "./access-record.ts";
import type { ListenerHandle } from "./plane/byte-stream.ts";
import type { FrontendSpec } from "./policy/frontend-spec.ts";
import type { FrontendStatus, ProxySnapshot } from "./proxy-status.ts";

/** A running proxy: `createProxy(options, surroundings)`. */
export interface ServiceProxy {
  /**
   * Makes what is served equal the plan. Frontends that stay are not touched; connections to endpoints that stay are never closed.
   * A frontend that cannot listen does not stop the others; each call tries it again.
   *
   * @param options.changed as in `ApplyOptions` of `@svcproxy/host`
   */
  apply(plan: HostPlan, options?: ApplyOptions): Promise<ServeReport>;
  /** The state and counters of all workers together. */
  snapshot(): Promise<ProxySnapshot>;
  /** Who is connected now by a service. */
  connections(question: ConnectionQuestion): Promise<Connections>;
  /**
   * Stops accepting, waits for the connections to end, resets what is left after `timeoutMs` (Infinity: nothing). Called again, the
   * time counts from then on.
   */
  drain(timeoutMs: number): Promise<void>;
  /** Resets everything at once and ends the workers. */
  close(): Promise<void>;
  /** What is served now, for whoever compares. */
  specs(): readonly FrontendSpec[];
  /** For `claimInstance`: the sockets that a successor gets. */
  listeners(): readonly HandedListener[];
}

export interface ServeReport {
  readonly frontends: readonly FrontendStatus[];
  /** Listeners that were opened and closed. */
  readonly opened: number;
  readonly closed: number;
  /** Whether anything had to be done. */
  readonly changed: boolean;
}

/** What surrounds a proxy. */
export interface ProxySurroundings {
  /** Failures go here, rate limited; never a line a connection. */
  readonly logger: Logger;
  /** Called once for each TCP connection and UDP session that ended. Leave it out where nobody reads it: it costs. */
  readonly onConnectionEnd?: (record: AccessRecord) => void;
  /**
   * The program, with arguments, that calls `runWorkerProcess`, for workers; needed where this package is part of a bundle.
   * Default: a file of this package.
   */
  readonly workerProgram?: readonly [program: string, ...args: string[]];
  /** Listeners that a running instance handed over (`claimInstance`). */
  readonly inherited?: InheritedListeners;
}

/** A socket that goes from one instance to the next. */
export interface HandedListener {
  /** `FrontendStatus.key`. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  readonly handle: ListenerHandle;
}

/** What `claimInstance` got from a running instance; `createProxy` takes out what its plan has and closes the rest after the first apply. */
export type InheritedListeners = Map<string, HandedListener>;
