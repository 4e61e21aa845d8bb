import type { Fault, SourcePosition } from "./errors.ts";
import type { ProblemCode } from "./problem-code.ts";

/** Where the text that a problem is about was read: a place in a file, or an object of a cluster or a store. */
export type SourcePlace = SourcePosition | SourceObject;

export interface SourceObject {
  /** As people call it, for instance `Service default/web` or `etcd /svcproxy/services/default/web`. */
  readonly object: string;
}

/**
 * One thing that is not as it should be, as it is told to people: by `check`, `apply`, `status`, the doctor and the page alike.
 * Callers branch on `code`, never on the text.
 */
export interface Problem {
  readonly code: ProblemCode;
  readonly severity: "error" | "warning";
  /** What it is about, for instance `service default/web`, `host web1`, `sysctl net.ipv4.ip_forward`; code and subject together name one problem. */
  readonly subject: string;
  /** A sentence without a full stop, values quoted. */
  readonly text: string;
  /** How to mend it. */
  readonly hint?: string;
  readonly at?: SourcePlace;
}

/** A fault of the input as a problem: its subject is the place in the data, else the file. */
export function problemOf({ severity, code, message, path, at, hint }: Fault): Problem {
  const subject = path !== undefined && path.length > 0 ? formatPath(path) : (at?.file ?? "the input");
  return {
    severity,
    code,
    subject,
    text: message,
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
  };
}

/** `services[0].ports[1].port` */
function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .replace(/^\./, "");
}
