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
  /**
   * Processes that carry connections, so that reading a large topology, for one, keeps no connection waiting; 0: this process does it
   * itself, as it does in a Node that cannot share listeners.
   */
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
