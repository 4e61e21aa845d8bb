import type { EndReason } from "../policy/counters.ts";

/**
 * HAProxy's two letters for how a connection ended: who or what ended it, and when.
 * @see https://docs.haproxy.org/2.6/configuration.html#8.5
 */
export function terminationOf(
  reason: EndReason,
  { opened, halfClosed }: { opened: boolean; halfClosed: boolean },
): string {
  if (reason === "done") return "--";
  return `${causeOf(reason)}${opened ? (halfClosed ? "L" : "D") : "C"}`;
}

function causeOf(reason: Exclude<EndReason, "done">): string {
  switch (reason) {
    case "client-reset":
    case "client-gone":
      return "C";
    case "endpoint-reset":
    case "dial-failed":
      return "S";
    case "idle-timeout":
    case "half-closed-timeout":
    case "stalled-write-timeout":
      return "c";
    case "not-allowed":
    case "no-endpoint":
    case "max-per-client":
      return "P";
    case "max-connections":
    case "local-fault":
    case "evicted":
      return "R";
    case "removed":
      return "K";
    case "shutdown":
      return "D";
  }
}
