import { type EnvironmentError, type Fault, formatPlace, type SourcePlace } from "./errors.ts";
import type { InputCode, ProblemCode } from "./problem-code.ts";
import { visible } from "./visible.ts";

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
  /** What shows it, a sentence each: a rule with its number, a sysctl, a counter. */
  readonly evidence?: readonly string[];
  /** Commands that mend it, to be run as root. */
  readonly remedy?: readonly string[];
}

/** A problem of the input: whoever cannot go on with it ends with a fault. */
export interface InputProblem extends Problem {
  readonly code: InputCode;
}

/** A fault of the input as a problem: its subject is the place in the data, else the file or the object. */
export function problemOf({ severity, code, message, path = [], at, hint }: Fault): InputProblem {
  const source = at === undefined ? "the input" : "object" in at ? at.object : at.file;
  return {
    severity,
    code,
    subject: path.length > 0 ? formatPath(path) : source,
    text: message,
    ...(hint === undefined ? {} : { hint }),
    ...(at === undefined ? {} : { at }),
  };
}

/** A fault of the machine that did not keep the rest from being done. @param subject what could not be done, or what it is about */
export function problemOfError(
  { code, message, hint }: EnvironmentError,
  { subject }: { readonly subject: string },
): Problem {
  return { code, severity: "warning", subject, text: message, ...(hint === undefined ? {} : { hint }) };
}

/** `file:line:column: warning: text [CODE]` and, on lines of their own, `seen: …` and `hint: …`; what a name brings along is made visible. */
export function formatProblem({
  severity,
  code,
  text,
  hint,
  at,
  evidence = [],
  remedy = [],
}: Omit<Problem, "subject">): string {
  const place = at === undefined ? "" : `${formatPlace(at)}: `;
  const line = `${visible(place)}${severity === "warning" ? "warning: " : ""}${visible(text)} [${code}]`;
  return [
    line,
    ...evidence.map((one) => `  seen: ${visible(one)}`),
    ...(hint === undefined ? [] : [`  hint: ${visible(hint)}`]),
    ...(hint === remedy.join(" && ") ? [] : remedy.map((command) => `  mend: ${visible(command)}`)),
  ].join("\n");
}

/** A fault of a file for people: place, message and code, with the hint on a line of its own. */
export function formatFault(fault: Fault): string {
  return formatProblem(problemOf(fault));
}

/** Problem and remedy as one sentence, for a line of a log. */
export function problemSentence({ text, hint }: Pick<Problem, "text" | "hint">): string {
  return visible(hint === undefined ? text : `${text}: ${hint}`);
}

/** So many are named one by one; a cluster has thousands. */
const NAMED = 10;

/** `a, b and 7 more`, each once. */
export function listNames(names: readonly string[]): string {
  const distinct = [...new Set(names)];
  const more = distinct.length - NAMED;
  return `${distinct.slice(0, NAMED).join(", ")}${more > 0 ? ` and ${more} more` : ""}`;
}

/** `services[0].ports[1].port` */
function formatPath(path: readonly (string | number)[]): string {
  return path
    .map((part) => (typeof part === "number" ? `[${part}]` : `.${part}`))
    .join("")
    .replace(/^\./, "");
}
