import type { AccessRecord } from "../contract.ts";

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
