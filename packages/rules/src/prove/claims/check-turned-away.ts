import { isNftRule } from "../../hooks/any-rule.ts";
import type { Finding } from "../report/proof.ts";
import { intersect, isEmpty, isSubset } from "../space/index-set.ts";
import { hasMark } from "../space/mark-set.ts";
import type { EndedState, SymbolicEnding, SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised } from "./check-context.ts";
import { describeDestination } from "./check-context.ts";
import { foreignDecision, isBeforeRouting, isOfFilter } from "./own-rules.ts";
import { report, reportUndecided } from "./report-fault.ts";

export function checkTurnedAway(check: CheckContext, promise: Promised, end: EndedState): void {
  const { state, ending } = end;
  const { handling } = promise;
  const wanted = handling.kind === "refuse" ? "refused" : "dropped";
  if (ending.kind === "refused" && ending.kind === wanted) checkRefusal(check, promise, { state, ending });
  if (ending.kind === wanted) return;
  if (ending.kind === "undecided") {
    reportUndecided(check, promise, { claim: 3, state, ending });
    return;
  }
  const fate =
    ending.kind === "delivered"
      ? `goes to ${describeDestination(check.proof, state)}`
      : `is ${ending.kind} (${ending.because})`;
  const why =
    handling.kind === "refuse"
      ? "it has no endpoint: it should be refused at once"
      : "its endpoints are elsewhere: it should be dropped";
  if (handling.kind === "refuse" && isForNobody(check, end)) return;
  if (isKeptOffLoopback(check, end)) return;
  if (leavesByDesign(check, promise, { end, message: `${fate}, and is not ${wanted}` })) return;
  const placed =
    "placed" in ending ? ending.placed : (state.destinationNat ?? foreignDecision(state, check.isOwn, isBeforeRouting));
  report(check, promise, state, { claim: 3, message: `${fate}, but ${why}`, placed });
}

/** What a foreign rule lets in before ours can refuse it, the host's own stack refuses: nobody listens on the port. */
function isForNobody({ proof: { host }, isOwn }: CheckContext, { state, ending }: EndedState): boolean {
  const { destination, destinationNat, outInterface, region } = state;
  const accepting = foreignDecision(state, isOwn, isOfFilter);
  if (accepting === undefined || isNftRule(accepting.rule) || accepting.rule.target.kind !== "accept") return false;
  const isHosts = destination === "destination" && isSubset(region.destination, host.local);
  return ending.kind === "delivered" && outInterface === undefined && destinationNat === undefined && isHosts;
}

/** A client that is refused learns of it: the ICMP or the reset finds back to it. */
function checkRefusal(
  check: CheckContext,
  promise: Promised,
  { state, ending }: { state: SymbolicState; ending: Extract<SymbolicEnding, { kind: "refused" }> },
): void {
  for (const way of check.replies.followRefusal(state, ending.answer)) {
    if (way.returns === true) continue;
    const { part, placed, question } = way;
    // Who has no way back to it loses every answer, whatever the rules.
    if (placed === undefined && !way.because.includes("the policy of ")) continue;
    const message = `is refused, but ${way.because}: the client waits in vain`;
    if (way.returns === false) report(check, promise, part, { claim: 3, message, placed });
    else {
      const hangsOn = question === undefined ? message : `${message}, if \`${question}\` says so`;
      const finding = { packet: check.examples.of(part.region), message: hangsOn, frontend: promise.frontend.name };
      check.findings.undecided(3, placed === undefined ? finding : { ...finding, placed });
    }
  }
}

/** NodePorts on 127.0.0.0/8 are for who has an address there: our rules keep everybody else off loopback, with no answer. */
function isKeptOffLoopback({ proof: { host }, isOwn }: CheckContext, { state, ending }: EndedState): boolean {
  const { region } = state;
  return (
    ending.kind === "dropped" &&
    ending.placed !== undefined &&
    isOwn(ending.placed) &&
    isSubset(region.destination, host.loopback) &&
    isEmpty(intersect(region.source, host.loopback))
  );
}

/** Whether it is the host's own packet to an external address that nobody serves, which the rules let go by design. */
function leavesByDesign(
  check: CheckContext,
  { client, frontend }: Promised,
  { end: { state, ending }, message }: { readonly end: EndedState; readonly message: string },
): boolean {
  const isOut = client === "host" && ending.kind === "delivered" && state.destinationNat === undefined;
  const isExternal = ["externalIP", "loadBalancerIP"].includes(frontend.frontend.kind);
  const finding = (): Finding => ({ packet: check.examples.of(state.region), message, frontend: frontend.name });
  return isOut && isExternal && check.findings.byDesign("host-to-external-not-refused", finding);
}

/** Clients outside of the source ranges get nothing. */
export function checkForbidden(check: CheckContext, promise: Promised, ends: readonly EndedState[]): void {
  for (const end of ends) {
    const { state, ending } = end;
    if (!hasMark(state.region.mark, 0) || ending.kind === "dropped") continue;
    check.countCases(1);
    if (ending.kind === "refused" && promise.handling.kind !== "forward") continue;
    // What has no route, and was not translated, is refused whoever sends it: nobody was let in.
    if (ending.kind === "refused" && ending.placed === undefined && state.destinationNat === undefined) continue;
    const fate =
      ending.kind === "delivered"
        ? `goes to ${describeDestination(check.proof, state)}`
        : `is ${ending.kind} (${ending.because})`;
    const isUnserved = promise.handling.kind !== "forward";
    if (isUnserved && leavesByDesign(check, promise, { end, message: `${fate}, and is not refused` })) continue;
    report(check, promise, state, {
      claim: 5,
      isForbidden: true,
      message: `${fate}, but its source may not use this frontend`,
      placed: state.destinationNat,
    });
  }
}
