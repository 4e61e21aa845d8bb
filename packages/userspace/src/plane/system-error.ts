import { getSystemErrorMap, getSystemErrorName } from "node:util";

/** A call to the system that failed. */
export class SystemCallError extends Error {
  /** For instance `EADDRINUSE`. */
  readonly code: string;

  /** @param errorNumber negative, as libuv returns it */
  constructor(call: string, errorNumber: number) {
    super(`${call}: ${systemErrorText(errorNumber)}`);
    this.name = "SystemCallError";
    this.code = systemErrorCode(errorNumber);
  }
}

/** The name of a negative system error number, for instance `ECONNREFUSED`. */
export function systemErrorCode(errorNumber: number): string {
  return getSystemErrorName(errorNumber);
}

function systemErrorText(errorNumber: number): string {
  return getSystemErrorMap().get(errorNumber)?.[1] ?? getSystemErrorName(errorNumber);
}

/** Faults of this host, not of the endpoint that was being dialled. A route or a firewall that forbids an endpoint is about that endpoint. */
const LOCAL_FAULTS = new Set(["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "EADDRNOTAVAIL", "EADDRINUSE"]);

export function isLocalFault(code: string): boolean {
  return LOCAL_FAULTS.has(code);
}
