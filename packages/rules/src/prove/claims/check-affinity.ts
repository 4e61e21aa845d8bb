import type { Endpoint } from "@svcproxy/topology";
import { formatSocketAddress } from "@svcproxy/topology";
import type { Assumption, EndedState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { endpointOf } from "./check-context.ts";
import { report } from "./report-fault.ts";

/** A client that was here before goes where it went, and each that comes is written down. */
export function checkAffinity(check: CheckContext, promise: Promised, reached: readonly EndedState[]): void {
  const { handling, frontend } = promise;
  if (handling.kind !== "forward") return;
  const timeout = frontend.port.affinity?.timeoutSeconds;
  const lists = new Map<string, Endpoint>();
  for (const { state } of reached) {
    const endpoint = endpointOf(check.proof, state, handling.endpoints);
    if (endpoint === undefined) continue;
    const list = state.remembered?.list;
    if (list === undefined) {
      const message = `reaches ${formatSocketAddress(endpoint)} without being remembered, so its next connection may go elsewhere`;
      report(check, promise, state, { claim: 5, message });
    } else if (!isRemembered(state.assumptions)) lists.set(list, endpoint);
  }
  const asked = new Set<string>();
  for (const { state } of reached) {
    const recent = rememberedBy(state.assumptions);
    const endpoint = endpointOf(check.proof, state, handling.endpoints);
    if (recent === undefined || endpoint === undefined) continue;
    asked.add(recent.list);
    const wanted = lists.get(recent.list);
    if (wanted !== undefined && (wanted.address !== endpoint.address || wanted.port !== endpoint.port)) {
      const message = `reaches ${formatSocketAddress(endpoint)} though it was at ${formatSocketAddress(wanted)} before`;
      report(check, promise, state, { claim: 5, message });
    }
    if (recent.seconds !== timeout) {
      const message = `is remembered for ${recent.seconds ?? "any number of"} seconds instead of ${timeout}`;
      report(check, promise, state, { claim: 5, message });
    }
  }
  const [first] = reached;
  for (const [list, endpoint] of lists) {
    if (asked.has(list) || first === undefined) continue;
    const message = `is remembered at ${formatSocketAddress(endpoint)}, but no rule asks for it`;
    report(check, promise, first.state, { claim: 5, message });
  }
}

export function isRemembered(assumptions: Assumption | undefined): boolean {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.recent !== undefined && one.holds) return true;
  return false;
}

/** The list on which the client was found: the one that decided. */
function rememberedBy(assumptions: Assumption | undefined): { list: string; seconds: number | undefined } | undefined {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.holds && one.question.recent !== undefined) return one.question.recent;
  return undefined;
}
