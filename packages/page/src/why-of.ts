import { type Fault, formatPlace, InputError, SvcproxyError } from "@svcproxy/topology";

/** So many faults are told; the command line tells all. */
const TOLD = 3;

/** An error as a sentence for who looks at the page: what is wrong, where, and how to mend it. */
export function whyOf(error: unknown): string {
  if (error instanceof InputError) {
    const faults = error.faults.filter(({ severity }) => severity === "error");
    const told = faults.slice(0, TOLD).map(wordsOf);
    const more = faults.length - told.length;
    return [...told, ...(more > 0 ? [`and ${more} more`] : [])].join("; ");
  }
  if (error instanceof SvcproxyError) return withHint(error.message, error.hint);
  return error instanceof Error ? error.message : String(error);
}

function wordsOf({ at, message, hint }: Fault): string {
  return withHint(at === undefined ? message : `${formatPlace(at)}: ${message}`, hint);
}

function withHint(message: string, hint: string | undefined): string {
  return hint === undefined ? message : `${message} (${hint})`;
}
