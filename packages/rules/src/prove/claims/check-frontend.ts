import type { ClientKind } from "@svcproxy/topology";
import { ALL_PORTS, NEW_STATE } from "../compile/condition.ts";
import { handlingBy } from "../report/deviation.ts";
import type { IndexSet } from "../space/index-set.ts";
import { intersect, singleSet, subtract, unite } from "../space/index-set.ts";
import { ANY_MARK, hasMark } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import type { EndedState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import { checkAffinity } from "./check-affinity.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { describeDestination, endpointOf, reachClaim } from "./check-context.ts";
import { checkErrors } from "./check-errors.ts";
import { checkMark, checkMarkEnds } from "./check-mark.ts";
import { checkShares } from "./check-shares.ts";
import { checkReply, checkSource } from "./check-source.ts";
import { checkForbidden, checkTurnedAway } from "./check-turned-away.ts";
import { foreignDecision, isBeforeRouting } from "./own-rules.ts";
import type { FrontendSpace } from "./plan-frontends.ts";
import { report, reportUndecided } from "./report-fault.ts";

/** Checks a frontend for every client on every entry. */
export function checkFrontend(check: CheckContext, frontend: FrontendSpace): void {
  const { proof, clients } = check;
  const { local, loopback } = proof.host;
  const arriving = new Map([...clients].filter(([, sources]) => sources.length > 0));
  const ofHost = (sources: IndexSet) => new Map<ClientKind, IndexSet>([["host", sources]]);
  const onLoopback = intersect(frontend.destination, loopback);
  const elsewhere = subtract(frontend.destination, loopback);
  // To 127.0.0.0/8 the host alone has a way, and most often from there; of neighbours claim 8 says that they have none.
  for (const { from, kinds, destination } of [
    { from: "host", kinds: ofHost(subtract(local, loopback)), destination: elsewhere },
    { from: "host", kinds: ofHost(local), destination: onLoopback },
    { from: "network", kinds: arriving, destination: elsewhere },
  ] as const) {
    const everyone = unite(kinds.values());
    if (everyone.length === 0 || destination.length === 0) continue;
    const ends = walkHost(proof, enteringState(regionOf({ ...frontend, destination }, everyone), from));
    for (const [client, sources] of kinds) {
      const promise = { frontend, client, handling: handlingBy(check.deviations, { ...frontend, client }) };
      const { allowed } = frontend;
      checkEnds(check, promise, ofSources(ends, allowed === undefined ? sources : intersect(sources, allowed)));
      if (allowed !== undefined) checkForbidden(check, promise, ofSources(ends, subtract(sources, allowed)));
    }
  }
}

/** What became of the packets from these sources. */
function ofSources(ends: readonly EndedState[], sources: IndexSet): readonly EndedState[] {
  const result: EndedState[] = [];
  for (const end of ends) {
    const { region } = end.state;
    const source = intersect(region.source, sources);
    if (source === region.source) result.push(end);
    else if (source.length > 0) result.push({ ...end, state: { ...end.state, region: { ...region, source } } });
  }
  return result;
}

function regionOf({ destination, protocol, frontend }: FrontendSpace, source: IndexSet): Region {
  return {
    source,
    destination,
    sourcePort: ALL_PORTS,
    destinationPort: singleSet(frontend.port),
    protocol: singleSet(protocol),
    state: NEW_STATE,
    mark: ANY_MARK,
  };
}

function checkEnds(check: CheckContext, promise: Promised, ends: readonly EndedState[]): void {
  const unmarked = ends.filter(({ state }) => hasMark(state.region.mark, 0));
  check.countCases(unmarked.length);
  if (promise.handling.kind === "forward") {
    const reached = unmarked.filter((end) => checkReached(check, promise, end));
    checkShares(check, promise, unmarked, new Set(reached.map(({ state }) => state)));
    if (promise.frontend.port.affinity !== undefined) checkAffinity(check, promise, reached);
  } else {
    for (const end of unmarked) checkTurnedAway(check, promise, end);
  }
  for (const { state, ending } of ends) checkMark(check, promise, { state, ending });
}

/** @returns whether it came to one of the endpoints */
function checkReached(check: CheckContext, promise: Promised, { state, ending }: EndedState): boolean {
  const { handling } = promise;
  if (handling.kind !== "forward") return false;
  if (ending.kind !== "delivered") {
    if (ending.kind === "undecided") {
      reportUndecided(check, promise, { claim: reachClaim(promise), state, ending });
      return false;
    }
    const message = `is ${ending.kind} (${ending.because}) instead of reaching an endpoint`;
    report(check, promise, state, { claim: reachClaim(promise), message, placed: ending.placed });
    return false;
  }
  const endpoint = endpointOf(check.proof, state, handling.endpoints);
  if (endpoint === undefined) {
    const placed = state.destinationNat ?? foreignDecision(state, check.isOwn, isBeforeRouting);
    const message = `goes to ${describeDestination(check.proof, state)}, which is none of its endpoints`;
    report(check, promise, state, { claim: reachClaim(promise), message, placed });
    return false;
  }
  checkSource(check, promise, { state, endpoint });
  checkReply(check, promise, { state, endpoint });
  checkErrors(check, promise, { state, endpoint });
  checkMarkEnds(check, promise, state);
  return true;
}
