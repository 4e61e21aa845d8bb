import { SvcproxyError } from "@svcproxy/topology";
import { RestoreRefused } from "../kernel/rule-tables.ts";

/** The kernel's refusal that an error came from; undefined where asking for less would not help. */
export function refusalIn(error: unknown): RestoreRefused | undefined {
  for (let each = error; each instanceof SvcproxyError; each = each.cause) {
    if (each instanceof RestoreRefused) return each.code === "RESTORE_REFUSED" && !each.isPassing ? each : undefined;
  }
  return undefined;
}
