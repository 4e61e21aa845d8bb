import { formatSocketAddress } from "@svcproxy/topology";
import { isOwnSegment } from "../../trace/walk/reply-path.ts";
import { hasMember, intersect, isSubset, onlyMember, singleSet, subtract } from "../space/index-set.ts";
import type { SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext, Promised, Reached } from "./check-context.ts";
import { foreignDecision, isSourceNat } from "./own-rules.ts";
import { ofPromised, report } from "./report-fault.ts";

export function checkSource(check: CheckContext, promise: Promised, { state, endpoint }: Reached): void {
  const { handling, client } = promise;
  const { proof, hostAddresses } = check;
  // What stays on this host passes no POSTROUTING, and needs none.
  if (handling.kind !== "forward" || state.outInterface === undefined) return;
  const self = proof.space.indexOf(endpoint.address);
  const to = formatSocketAddress(endpoint);
  const { source } = state.region;
  if (handling.masquerade === "hairpin") {
    const isByDesign =
      ofPromised(check, promise, { ...state.region, source: singleSet(self) }) === undefined &&
      check.findings.byDesign("hairpin-of-own-pods-only", () => ({
        packet: check.examples.of(state.region, { source: self }),
        message: `reaches ${to}, itself, with its own source address`,
        frontend: promise.frontend.name,
      }));
    if (state.sourceNat === undefined && hasMember(source, self) && !isByDesign)
      report(check, promise, state, {
        claim: 2,
        message: `reaches ${to}, itself, with its own source address`,
        source: self,
      });
    const others = subtract(source, singleSet(self));
    if (state.sourceNat !== undefined && others.length > 0) {
      const part = { ...state, region: { ...state.region, source: others } };
      report(check, promise, part, {
        claim: 2,
        message: `reaches ${to} with a rewritten source, which the plan does not want`,
        placed: state.sourceNat,
      });
    }
    return;
  }
  if (state.sourceNat !== undefined) return;
  // A program of the host that binds another of its addresses needs no help from the rules: the plan knows the host's own.
  const promised = client === "host" ? intersect(source, hostAddresses) : source;
  if (promised.length === 0) return;
  const part = { ...state, region: { ...state.region, source: promised } };
  const seen = onlyMember(promised);
  const out = `leaves by ${state.outInterface} for ${to}`;
  const as = seen === undefined ? "with its own source" : `as ${proof.space.addressAt(seen)}`;
  report(check, promise, part, {
    claim: 2,
    message: `${out} ${as}, which the plan wants rewritten`,
    placed: foreignDecision(state, check.isOwn, isSourceNat),
  });
}

export function checkReply(check: CheckContext, promise: Promised, { state, endpoint }: Reached): void {
  for (const way of check.replies.follow(state)) {
    if (way.returns === true) continue;
    const isPromised = isReplyPromised(check, promise, way.part);
    const message = `reaches ${formatSocketAddress(endpoint)}, but ${way.because}`;
    const finding = () => ({ packet: check.examples.of(way.part.region), message, frontend: promise.frontend.name });
    const isAstray =
      promise.client === "outside" && promise.frontend.frontend.kind === "clusterIP" && way.placed === undefined;
    if (way.returns === false && isAstray && check.findings.byDesign("outside-clusterip-not-masqueraded", finding))
      continue;
    if (!isPromised && way.placed === undefined) continue;
    const isForeign = way.placed !== undefined && !check.isOwn(way.placed);
    if (isForeign && ofPromised(check, promise, way.part.region) === undefined) continue;
    if (way.returns === undefined) {
      const what = way.question === undefined ? message : `${message} (\`${way.question}\`)`;
      const placed = way.placed === undefined ? {} : { placed: way.placed };
      check.findings.undecided(2, { ...finding(), message: what, ...placed });
      if (isForeign) check.findings.undecided(6, { ...finding(), message: what, ...placed });
    } else report(check, promise, way.part, { claim: 2, message, placed: way.placed });
  }
}

/**
 * Whether a client whose source is kept can count on an answer. A pod's own host serves its ClusterIPs: one of another host
 * that comes here all the same is promised none, and nobody outside is on a ClusterIP.
 */
function isReplyPromised(
  { proof }: CheckContext,
  { client, frontend }: Promised,
  { region, sourceNat }: SymbolicState,
): boolean {
  if (client === "host" || sourceNat !== undefined) return true;
  if (client === "outside" && frontend.frontend.kind !== "clusterIP") return true;
  const home = [...proof.host.arriving].find(([, sources]) => isSubset(region.source, sources));
  const device = proof.view.router.interfaceOf(home?.[0] ?? "");
  return device !== undefined && isOwnSegment(proof.view, device);
}
