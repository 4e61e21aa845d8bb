import type { PortHolder } from "@svcproxy/host";
import type { FrontendKind, IpAddress, Port } from "@svcproxy/topology";
import type { EndpointCounters, FrontendCounters } from "./policy/counters.ts";

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
  readonly state: ListenState;
  readonly counters: FrontendCounters;
}

export type ListenState =
  | { readonly kind: "listening" }
  /** No client could be served, so nobody listens: the kernel refuses at once. Counts as ready. */
  | {
      readonly kind: "refusing";
      /** Where there are endpoints: why nobody is served all the same. */
      readonly reason?: string;
    }
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
    };

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
