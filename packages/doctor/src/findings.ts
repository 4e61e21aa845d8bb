import type { Problem } from "@svcproxy/topology";
import type { Cause, Diagnosis } from "./cause.ts";

/** The causes as problems among others, for a status or a page; what a cause brings about is left out. */
export function findingsOf({ causes, host }: Diagnosis): readonly Problem[] {
  return causes.map(({ code, severity, subject, text, hint, evidence, remedy, host: at }: Cause) => ({
    ...{ code, severity, subject, text: at === host ? text : `On ${at}: ${text}`, evidence, remedy },
    ...(hint === undefined ? {} : { hint }),
  }));
}
