import type { EnvironmentCode, InputCode } from "./problem-code.ts";

/** One thing that is wrong with the input, as `svcproxy check` prints it. */
export interface Fault {
  readonly severity: "error" | "warning";
  readonly code: InputCode;
  /** What was being done and why it failed, the value quoted, no full stop. */
  readonly message: string;
  /** Where the data model has the fault, for instance `["services", 0, "ports", 1, "port"]`. */
  readonly path?: readonly (string | number)[];
  readonly at?: SourcePlace;
  /** How to mend it. */
  readonly hint?: string;
}

export interface SvcproxyErrorOptions {
  readonly hint?: string;
  readonly cause?: unknown;
}

/**
 * The root of what svcproxy throws on purpose. Callers branch on `code`, never on the text.
 * Everything else that reaches the command line is a bug of ours and is printed with its stack.
 */
export abstract class SvcproxyError<
  Code extends InputCode | EnvironmentCode = InputCode | EnvironmentCode,
> extends Error {
  abstract readonly exitCode: 1 | 2;
  readonly code: Code;
  readonly hint: string | undefined;

  constructor(code: Code, message: string, options: SvcproxyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.code = code;
    this.hint = options.hint;
  }
}

/** The user's input or usage is wrong (exit code 2). Carries every fault that was found, not just the first. */
export class InputError extends SvcproxyError<InputCode> {
  override readonly exitCode = 2;
  readonly faults: readonly [Fault, ...Fault[]];

  constructor(faults: readonly [Fault, ...Fault[]], options: SvcproxyErrorOptions = {}) {
    // Warnings come in the order of the text too, and are not why it is refused.
    const { code, message, hint } = faults.find(({ severity }) => severity === "error") ?? faults[0];
    super(code, message, { ...(hint === undefined ? {} : { hint }), ...options });
    this.faults = faults;
  }
}

/** The machine cannot do what was asked: no root, no iptables, a port in use, no namespaces (exit code 1). */
export class EnvironmentError extends SvcproxyError<EnvironmentCode> {
  override readonly exitCode = 1;
}

/** A single usage fault without a place in a file. */
export function inputError(code: InputCode, message: string, options: SvcproxyErrorOptions = {}): InputError {
  return new InputError(
    [{ severity: "error", code, message, ...(options.hint === undefined ? {} : { hint: options.hint }) }],
    options,
  );
}

/** For the `default` of a switch over a union: a new kind stops the build here. */
export function unreachable(value: never): never {
  throw new Error(`unreachable: ${JSON.stringify(value)}`);
}

/** Where the text that a fault or a problem is about was read: a place in a file, or an object of a cluster or a store. */
export type SourcePlace = SourcePosition | SourceObject;

/** A place in a file; both numbers are 1-based. */
export interface SourcePosition {
  readonly file: string;
  readonly line: number;
  readonly column: number;
}

export interface SourceObject {
  /** As people call it, for instance `Service default/web` or `etcd /svcproxy/services/default/web`. */
  readonly object: string;
  readonly file?: undefined;
  readonly line?: undefined;
  readonly column?: undefined;
}

/** `web.yaml:14:11`, or the object. */
export function formatPlace(place: SourcePlace): string {
  return "object" in place ? place.object : `${place.file}:${place.line}:${place.column}`;
}
