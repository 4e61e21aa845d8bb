import type { EndReason } from "./policy/counters.ts";

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

/** The fields of an access line: numbers stay numbers, units end the names, what did not happen is left out. */
export interface AccessFields {
  /** Left out where it was gone before anybody could ask. */
  readonly client?: string;
  readonly frontend: string;
  readonly service: string;
  readonly port?: string;
  readonly endpoint?: string;
  /** Set where more than one endpoint was dialled. */
  readonly attempts?: number;
  readonly start: string;
  readonly dialMs?: number;
  readonly durationMs: number;
  readonly bytesFromClient: number;
  readonly bytesToClient: number;
  readonly reason: string;
  /** Two letters as in HAProxy's tcplog: who ended it, and when. */
  readonly termination: string;
}

/** A connection's end as the access log has it; times in milliseconds. */
export function accessFields(record: AccessRecord): AccessFields {
  const { client, clientPort, frontend, service, portName, endpoint, attempts, dialMs } = record;
  return {
    ...(client === ""
      ? {}
      : { client: client.includes(":") ? `[${client}]:${clientPort}` : `${client}:${clientPort}` }),
    frontend,
    service,
    ...(portName === "" ? {} : { port: portName }),
    ...(endpoint === undefined ? {} : { endpoint }),
    ...(attempts > 1 ? { attempts } : {}),
    start: new Date(record.startedAtMs).toISOString(),
    ...(dialMs === undefined ? {} : { dialMs: toMicroseconds(dialMs) }),
    durationMs: toMicroseconds(record.durationMs),
    bytesFromClient: record.bytesFromClient,
    bytesToClient: record.bytesToClient,
    reason: record.reason,
    termination: record.termination,
  };
}

/** Three digits behind the point; the rest is noise of the clock. */
function toMicroseconds(milliseconds: number): number {
  return Math.round(milliseconds * 1000) / 1000;
}
