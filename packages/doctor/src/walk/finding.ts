import type { Cause, Sufferer } from "../cause.ts";

/** What is found, before it is known who else suffers from it. */
export type Finding = Pick<Cause, "code" | "subject" | "text" | "evidence" | "remedy"> & {
  readonly suspect?: string | undefined;
  readonly hint?: string;
  readonly severity?: "error" | "warning";
};

export function causeOf(
  { suspect, severity = "error", hint, ...finding }: Finding,
  {
    host,
    sufferers,
    endpoints,
  }: { readonly host: string; readonly sufferers: readonly Sufferer[]; readonly endpoints?: readonly string[] },
): Cause {
  const help = hint ?? finding.remedy.join(" && ");
  return {
    ...finding,
    severity,
    host,
    sufferers,
    ...(endpoints === undefined ? {} : { endpoints: [...new Set(endpoints)] }),
    effects: [],
    ...(help === "" ? {} : { hint: help }),
    ...(suspect === undefined ? {} : { suspect }),
  };
}
