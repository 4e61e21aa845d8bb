import type { PortHolder } from "@svcproxy/host";
import type { FrontendKind, HostPlan, IpAddress, Port, Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { ListenerHandle } from "./plane/byte-stream.ts";

/** Every knob of the proxy, the unit in its name; `DEFAULT_PROXY_OPTIONS` has what the command line defaults to. */
export interface ProxyOptions {
  /** How long one dial may take before another endpoint is tried. */
  readonly connectTimeoutMs: number;
  /** No byte either way for this long ends a connection; 0: never. */
  readonly idleTimeoutMs: number;
  /** The same once one side has sent its FIN; 0: only `idleTimeoutMs` counts. */
  readonly halfClosedTimeoutMs: number;
  /** Bytes wait to be written and none leaves for this long; 0: only `idleTimeoutMs` counts. */
  readonly stalledWriteTimeoutMs: number;
  /** What happens to connections of an endpoint that a new plan no longer has; those to one that stays are never closed. */
  readonly onRemove: "drain" | "reset";
  /** How long `onRemove: "drain"` waits before it resets. */
  readonly drainTimeoutMs: number;
  /** TCP connections at a time, all workers together; 0: as many as the descriptors allow. */
  readonly maxConnections: number;
  /** TCP connections at a time from one client address, all workers together; 0: no such limit. */
  readonly maxPerClient: number;
  /** Time between two active checks of an endpoint; 0: passive ones only. */
  readonly healthIntervalMs: number;
  /** A UDP session ends after this long without a datagram. */
  readonly udpIdleTimeoutMs: number;
  /** The same for a session whose endpoint has never answered. */
  readonly udpOneWayTimeoutMs: number;
  /** UDP sessions at a time in one worker; the one idle longest leaves first. Descriptors may set a lower bound. */
  readonly maxUdpSessions: number;
  /** Receive and send buffer asked for each UDP socket; the kernel may grant less. */
  readonly udpBufferBytes: number;
  /** Processes that carry connections; 1: this process does it itself. */
  readonly workers: number;
  /** `listen`'s backlog; the kernel caps it at net.core.somaxconn. */
  readonly backlog: number;
  /** Devices whose addresses are VIPs, not addresses of the host: no NodePort is opened on them. */
  readonly vipDevices: readonly string[];
}

export const DEFAULT_PROXY_OPTIONS: ProxyOptions = {
  connectTimeoutMs: 1_000,
  idleTimeoutMs: 900_000,
  halfClosedTimeoutMs: 120_000,
  stalledWriteTimeoutMs: 120_000,
  onRemove: "drain",
  drainTimeoutMs: 30_000,
  maxConnections: 0,
  maxPerClient: 0,
  healthIntervalMs: 0,
  udpIdleTimeoutMs: 30_000,
  udpOneWayTimeoutMs: 10_000,
  maxUdpSessions: 16_384,
  udpBufferBytes: 4 * 1024 * 1024,
  workers: 1,
  backlog: 4_096,
  vipDevices: ["svcproxy0"],
};

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
  /** Called where the machine got or lost an address: whoever made the plan makes it anew, because NodePorts are served there too. */
  readonly onAddressesChange?: () => void;
  /** Listeners that a running instance handed over (`claimInstance`). */
  readonly inherited?: InheritedListeners;
}

/** A running proxy: `createProxy(options, surroundings)`. */
export interface ServiceProxy {
  /**
   * Makes what is served equal the plan. Frontends that stay are not touched; connections to endpoints that stay are never closed.
   * A frontend that cannot listen does not stop the others; it is tried again until it listens or leaves the plan.
   */
  apply(plan: HostPlan): Promise<ApplyReport>;
  /** The state and counters of all workers together. */
  snapshot(): Promise<ProxySnapshot>;
  /** Stops accepting, waits for the connections to end, resets what is left after `timeoutMs`. Call again with 0 to hurry. */
  drain(timeoutMs: number): Promise<void>;
  /** Resets everything at once and ends the workers. */
  close(): Promise<void>;
  /** For `claimInstance`: the sockets that a successor gets. */
  listeners(): readonly HandedListener[];
}

export interface ApplyReport {
  readonly frontends: readonly FrontendStatus[];
  /** Keys of frontends that came and went with this plan. */
  readonly added: readonly string[];
  readonly removed: readonly string[];
  /** What is not as it should be in the plan, and what a userspace proxy cannot do of it: each worth saying once. */
  readonly problems: readonly Problem[];
}

/** One address and port that clients dial. */
export interface FrontendPlace {
  /** `tcp 10.100.100.1:7070`; unique. */
  readonly key: string;
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly address: IpAddress;
  readonly port: Port;
  readonly kind: FrontendKind;
  /** `namespace/name`. */
  readonly service: string;
  /** Empty where it has none. */
  readonly portName: string;
}

export interface FrontendStatus extends FrontendPlace {
  readonly state: FrontendState;
  readonly counters: FrontendCounters;
}

export type FrontendState =
  | { readonly kind: "listening" }
  /** No client could be served, so nobody listens: the kernel refuses at once. Counts as ready. */
  | { readonly kind: "refusing" }
  /** Left the plan: nobody listens, and connections to endpoints that stay go on. Does not count for readiness. */
  | { readonly kind: "draining" }
  /** No userspace proxy can serve it. Does not count for readiness. */
  | {
      readonly kind: "unsupported";
      /** Why, for people; no full stop. */
      readonly reason: string;
    }
  | {
      readonly kind: "failed";
      /** The system's error code: EADDRINUSE, EADDRNOTAVAIL, EACCES …, or `UNSUPPORTED` where this Node cannot. */
      readonly code: string;
      /** Why, for people; no full stop. */
      readonly reason: string;
      /** Who holds the port, where that can be seen. */
      readonly holder?: PortHolder;
      /** 0 where it is not tried again. */
      readonly retryInMs: number;
    };

/** Why a TCP connection or UDP session ended. */
export type EndReason = (typeof END_REASONS)[number];

export const END_REASONS = [
  /** Both sides said FIN; for UDP: idle. */
  "done",
  "client-reset",
  "endpoint-reset",
  "idle-timeout",
  "half-closed-timeout",
  "stalled-write-timeout",
  /** No endpoint could be dialled. */
  "dial-failed",
  /** The client left during the dial. */
  "client-gone",
  /** This host's own fault while dialling: EMFILE, EADDRNOTAVAIL, ENOBUFS. */
  "local-fault",
  /** The plan has no endpoint for this kind of client. */
  "no-endpoint",
  /** Out of the source ranges, or a policy that is silence in the rules. */
  "not-allowed",
  "max-connections",
  "max-per-client",
  /** Its endpoint or frontend left the plan. */
  "removed",
  /** The proxy ends. */
  "shutdown",
  /** UDP: made room for a new session. */
  "evicted",
] as const;

export interface FrontendCounters {
  /** Accepted, whatever became of them. UDP: sessions. */
  readonly connections: number;
  readonly active: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly datagramsFromClient: number;
  readonly datagramsToClient: number;
  /** UDP datagrams that were not passed on. */
  readonly datagramsDropped: number;
  readonly ended: Readonly<Record<EndReason, number>>;
}

export interface EndpointStatus {
  /** `tcp 10.5.75.2:3000`; unique. */
  readonly key: string;
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: Port;
  /** `namespace/name` of each service that has it. */
  readonly services: readonly string[];
  readonly pod?: string;
  /** `ejected`: failed and passed over; `down`: the active check says so; `draining`: left the plan, still has connections. */
  readonly state: "up" | "ejected" | "down" | "draining";
  /** How long it stays passed over; 0 unless `ejected`. */
  readonly ejectedForMs: number;
  readonly counters: EndpointCounters;
}

export interface EndpointCounters {
  readonly dials: number;
  /** By the system's error code; `ETIMEDOUT` for our own timeout. */
  readonly dialFailures: Readonly<Record<string, number>>;
  /** Dials that another endpoint took over. */
  readonly retries: number;
  readonly connections: number;
  readonly active: number;
  readonly bytesToEndpoint: number;
  readonly bytesFromEndpoint: number;
  readonly dialTime: Histogram;
}

/** Upper bounds of the dial time buckets in seconds; a last one without bound follows. */
export const DIAL_TIME_BUCKETS_SECONDS = [
  0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5,
] as const;

export interface Histogram {
  /** One more than `DIAL_TIME_BUCKETS_SECONDS`; each counts its own bucket only (not cumulative). */
  readonly counts: readonly number[];
  readonly sumSeconds: number;
}

export interface WorkerStatus {
  readonly pid: number;
  /** 0-based; stays when a worker is replaced. */
  readonly index: number;
  readonly state: "running" | "starting";
  readonly restarts: number;
  readonly connections: number;
  readonly udpSessions: number;
  readonly residentBytes: number;
  /** Delay of the event loop since the last snapshot. */
  readonly loopDelayP50Ms: number;
  readonly loopDelayP99Ms: number;
  readonly loopDelayMaxMs: number;
  /** 0–1 since the last snapshot. */
  readonly loopUtilization: number;
}

export interface ProxySnapshot {
  readonly state: "running" | "draining";
  readonly workers: readonly WorkerStatus[];
  readonly frontends: readonly FrontendStatus[];
  readonly endpoints: readonly EndpointStatus[];
  readonly limits: {
    /** Soft RLIMIT_NOFILE of one worker. */
    readonly openFiles: number;
    /** TCP connections at a time, all workers together, as the descriptors and `maxConnections` allow. */
    readonly connections: number;
    readonly udpSessions: number;
  };
}

/** Facts of one connection or UDP session that ended. */
export interface AccessRecord {
  readonly protocol: "tcp" | "udp";
  /** Empty (and the port 0) where it left before anybody could ask. */
  readonly client: string;
  readonly clientPort: number;
  /** `FrontendStatus.key`. */
  readonly frontend: string;
  readonly service: string;
  readonly portName: string;
  /** The last one that was tried. */
  readonly endpoint?: string;
  readonly attempts: number;
  /** Wall clock at the start, milliseconds since 1970. */
  readonly startedAtMs: number;
  /** Until the endpoint was connected; absent where none was. */
  readonly dialMs?: number;
  readonly durationMs: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly reason: EndReason;
  /**
   * HAProxy's two letters: who ended it (C client, S endpoint, P proxy, R resource, K killed by a change, c/s its timeout, D drained, - nobody),
   * and when (C dialling, D data, L last: one side had ended, - over).
   */
  readonly termination: string;
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

/**
 * One proxy for each network namespace (and `name`) by a lock in `runtimeDirectory`; a unix socket there (mode 0600) is the way to
 * talk to it.
 */
export interface InstanceOptions {
  /** Default `default`; another one lets a second proxy run beside the first on purpose. */
  readonly name?: string;
  /** Default: $RUNTIME_DIRECTORY, else `userspace` in /run/svcproxy for root, in $XDG_RUNTIME_DIR/svcproxy, or in a folder of the user's in /tmp. */
  readonly runtimeDirectory?: string;
  /** For `claimInstance`: take the listeners of an instance that runs, instead of failing. */
  readonly takeOver?: boolean;
}

/**
 * What `claimInstance(options)` gives.
 *
 * @throws EnvironmentError ALREADY_RUNNING where an instance runs and `takeOver` is false
 * With `takeOver` and nobody running it is a plain start.
 */
export interface InstanceClaim {
  /** Path of the unix socket file that `status` uses. */
  readonly controlPath: string;
  /** Absent for a plain start. */
  readonly inherited?: InheritedListeners;
  /** Pid of the instance that is taken over. */
  readonly predecessorPid?: number;
  /**
   * Call when the first plan is applied: the predecessor stops accepting and drains; from then on this instance answers
   * `status` with `status()` and hands its listeners to a successor.
   */
  serve(service: InstanceService): Promise<void>;
  /** Gives the lock back. */
  release(): Promise<void>;
}

export interface InstanceService {
  readonly proxy: ServiceProxy;
  /** What `queryInstance(…)` gets: any JSON value. */
  status(): Promise<unknown>;
  /**
   * A successor listens on everything that it wants: drain and exit, and leave VIPs in place, they are the successor's now.
   * The lock and the control socket have already passed on.
   */
  onTakenOver(successorPid: number): void;
}
