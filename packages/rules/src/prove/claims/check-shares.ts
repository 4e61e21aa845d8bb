import { formatSocketAddress } from "@svcproxy/topology";
import { alikeGroups } from "../walk/alike-groups.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import { isRemembered } from "./check-affinity.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { endpointOf, reachClaim } from "./check-context.ts";
import { openQuestion, worldsOf } from "./open-questions.ts";
import { report } from "./report-fault.ts";

/** A share may be off by so much. */
const SHARE_TOLERANCE = 1e-9;

/** New clients, whom no affinity remembers, get each endpoint with its share. */
export function checkShares(
  check: CheckContext,
  promise: Promised,
  ends: readonly EndedState[],
  reached: ReadonlySet<SymbolicState>,
): void {
  const { handling } = promise;
  if (handling.kind !== "forward") return;
  const wanted = 1 / handling.endpoints.length;
  const { isOwnList } = check;
  const newClients = ends.map(({ state }) => state).filter(({ assumptions }) => !isRemembered(assumptions, isOwnList));
  const worlds = worldsOf(newClients, isOwnList);
  if (worlds === undefined) {
    const state = newClients.find(({ assumptions }) => openQuestion(assumptions, isOwnList) !== undefined);
    const message = "reaches its endpoints with shares that hang on too many matches";
    if (state !== undefined) report(check, promise, state, { claim: reachClaim(promise), message });
    return;
  }
  for (const world of worlds) {
    // Where one does not arrive, that was said already.
    if (world.some((state) => !reached.has(state))) continue;
    for (const group of alikeGroups(world.map((state) => ({ state })))) {
      const shares = new Map<string, number>();
      for (const { state } of group.items) {
        const endpoint = endpointOf(check.proof, state, handling.endpoints);
        if (endpoint === undefined) continue;
        const to = formatSocketAddress(endpoint);
        shares.set(to, (shares.get(to) ?? 0) + state.probability);
      }
      const asked =
        group.items.find(({ state }) => openQuestion(state.assumptions, isOwnList) !== undefined) ?? group.items[0];
      if (asked === undefined) continue;
      for (const endpoint of handling.endpoints) {
        const to = formatSocketAddress(endpoint);
        const share = shares.get(to) ?? 0;
        if (Math.abs(share - wanted) <= SHARE_TOLERANCE) continue;
        const message = `reaches ${to} with share ${share.toFixed(9)} instead of 1/${handling.endpoints.length}`;
        report(check, promise, { ...asked.state, region: group.region }, { claim: reachClaim(promise), message });
      }
    }
  }
}
