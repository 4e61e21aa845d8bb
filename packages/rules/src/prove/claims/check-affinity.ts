import type { Endpoint } from "@svcproxy/topology";
import { formatSocketAddress } from "@svcproxy/topology";
import { intersect, isEmpty } from "../space/index-set.ts";
import type { Assumption, EndedState, RecentFact, Remembered, SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { endpointOf } from "./check-context.ts";
import type { IsOwnList } from "./own-lists.ts";
import { report } from "./report-fault.ts";

/** A first connection of a client: where it went, and what was written of it. */
interface FirstVisit {
  readonly state: SymbolicState;
  readonly endpoint: Endpoint;
}

/**
 * A client that was here before goes where it went, whatever `recent` is asked with, and each that comes is written down.
 * For each way that a new client may take, the client comes again with what that way has written and nothing else: then
 * every way that is left leads to the same endpoint.
 */
export function checkAffinity(check: CheckContext, promise: Promised, reached: readonly EndedState[]): void {
  const { handling, frontend } = promise;
  if (handling.kind !== "forward") return;
  const states = reached.map(({ state }) => state);
  const fails = (state: SymbolicState, message: string) => report(check, promise, state, { claim: 5, message });
  const visits: FirstVisit[] = [];
  for (const state of states) {
    const endpoint = endpointOf(check.proof, state, handling.endpoints);
    if (endpoint === undefined) continue;
    const fault = rememberingFault(check, state);
    if (fault !== undefined) fails(state, `reaches ${formatSocketAddress(endpoint)} ${fault}`);
    else if (!isRemembered(state.assumptions, check.isOwnList)) visits.push({ state, endpoint });
  }
  const timeout = frontend.port.affinity?.timeoutSeconds;
  for (const { state: first, endpoint: wanted } of distinct(visits)) {
    for (const state of states) {
      if (isEmpty(intersect(first.region.source, state.region.source))) continue;
      const fact = comesAgain(state.assumptions, { remembered: first.remembered, isOwnList: check.isOwnList });
      if (fact === "no") continue;
      const endpoint = endpointOf(check.proof, state, handling.endpoints);
      if (endpoint === undefined) continue;
      const to = formatSocketAddress(endpoint);
      if (endpoint.address !== wanted.address || endpoint.port !== wanted.port)
        fails(state, `reaches ${to} though it was at ${formatSocketAddress(wanted)} before`);
      else if (fact === undefined) fails(state, `is remembered at ${to}, but no rule asks for it`);
      else if (fact.seconds !== timeout)
        fails(state, `is remembered for ${fact.seconds ?? "any number of"} seconds instead of ${timeout}`);
    }
  }
}

/** Why a connection is not remembered as its client's; undefined where it is. */
function rememberingFault({ proof, isOwnList }: CheckContext, { remembered }: SymbolicState): string | undefined {
  if (!listsOf(remembered).some(isOwnList)) return "without being remembered, so its next connection may go elsewhere";
  for (let note = remembered; note !== undefined; note = note.earlier) {
    if (!isOwnList(note.list)) continue;
    const mask = proof.listMasks.get(note.list);
    if (note.side === "destination")
      return `and is remembered on ${note.list} by the address that it dials, as all its clients are`;
    if (mask !== undefined)
      return `and is remembered on ${note.list} by ${mask}: its neighbours there are taken for the same client`;
  }
  return undefined;
}

/** Visits that differ in what they wrote, or where they went. */
function distinct(visits: readonly FirstVisit[]): readonly FirstVisit[] {
  const byKey = new Map<string, FirstVisit>();
  for (const visit of visits) {
    const { address, port } = visit.endpoint;
    const { source } = visit.state.region;
    const key = [address, port, listsOf(visit.state.remembered).join(" "), source.join(" ")].join("|");
    if (!byKey.has(key)) byKey.set(key, visit);
  }
  return [...byKey.values()];
}

function listsOf(remembered: Remembered | undefined): readonly string[] {
  const lists: string[] = [];
  for (let note = remembered; note !== undefined; note = note.earlier) lists.push(note.list);
  return lists;
}

/**
 * Whether a client of which one connection is written down takes a way on which these answers were assumed.
 *
 * @returns `no`, the answer by which it was found, or undefined where none asked about it
 */
function comesAgain(
  assumptions: Assumption | undefined,
  { remembered, isOwnList }: { readonly remembered: Remembered | undefined; readonly isOwnList: IsOwnList },
): "no" | RecentFact | undefined {
  let found: RecentFact | undefined;
  const written = listsOf(remembered);
  for (let one = assumptions; one !== undefined; one = one.earlier) {
    const { recent } = one.question;
    if (recent === undefined) continue;
    const times = written.filter((list) => list === recent.list).length;
    const isListed = recent.side === "source" && times >= Math.max(1, recent.hitCount ?? 1);
    if (isListed !== one.holds) return "no";
    if (isListed && isOwnList(recent.list)) found = recent;
  }
  return found;
}

/** Whether a client is taken to be on one of the lists. */
export function isRemembered(assumptions: Assumption | undefined, isOwnList: IsOwnList): boolean {
  for (let one = assumptions; one !== undefined; one = one.earlier)
    if (one.question.recent !== undefined && isOwnList(one.question.recent.list) && one.holds) return true;
  return false;
}
