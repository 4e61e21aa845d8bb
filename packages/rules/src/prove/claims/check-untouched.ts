import { isProxyTable } from "../../hooks/any-rule.ts";
import { protocols } from "../compile/condition.ts";
import type { DeviationKind } from "../report/deviation.ts";
import type { Finding } from "../report/proof.ts";
import { hasMember, type IndexSet, intersect, isSubset, singleSet, subtract } from "../space/index-set.ts";
import { hasMark, marksWithin } from "../space/mark-set.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import type { CheckContext } from "./check-context.ts";
import { markBitsWeTouch } from "./own-rules.ts";
import type { FrontendSpace } from "./plan-frontends.ts";

/** What of the plan bears on packets that dial no frontend. */
export interface ServedElsewhere {
  /** Whether NodePorts are meant to be served on 127.0.0.0/8. */
  readonly onLoopback: boolean;
  /** ClusterIPs that services have. */
  readonly clusterIps: IndexSet;
  /** Blocks that hold ClusterIPs and nothing else. */
  readonly serviceRange: IndexSet;
  /** NodePorts on any address. */
  readonly nodePorts: IndexSet;
  /** NodePorts that some client is turned away from. */
  readonly unserved: readonly FrontendSpace[];
}

/** One way of such packets, and how what is wrong with it is told. */
interface Passage extends EndedState {
  readonly check: CheckContext;
  readonly served: ServedElsewhere;
  readonly claim: 4 | 7;
  readonly example: () => Finding["packet"];
  readonly fails: (message: string, placed: Finding["placed"]) => void;
  /** Whether the rules do that by design; it is shown then. */
  readonly isByDesign: (kind: DeviationKind, message: string) => boolean;
}

/** Checks that packets which dial no frontend pass our rules as they came. */
export function checkUntouched(check: CheckContext, end: EndedState, served: ServedElsewhere): void {
  const { region } = end.state;
  const marks = marksWithin(region.mark, { care: check.markBit, value: 0 });
  // A packet that comes with our own bit set asks for what the bit means.
  if (marks === undefined) return;
  check.countCases(1);
  const unmarked = { ...region, mark: marks };
  const claim = hasMark(marks, 0) ? 4 : 7;
  const example = () => check.examples.of(unmarked);
  const passage: Passage = {
    ...end,
    ...{ check, served, claim, example },
    fails: (message, placed) => {
      const finding = { packet: example(), message, ...(placed === undefined ? {} : { placed }) };
      const { assumptions } = end.state;
      if (assumptions === undefined) return check.findings.broken(claim, finding);
      const { question, holds } = assumptions;
      const given = `${message}, if \`${question.text}\` ${holds ? "holds" : "does not hold"}`;
      check.findings.undecided(claim, { ...finding, message: given });
    },
    isByDesign: (kind, message) =>
      check.findings.byDesign(
        kind,
        () => ({ packet: example(), message }),
        () => check.examples.isKnown(unmarked),
      ),
  };
  if (isTranslatedByDesign(passage)) return;
  checkEnding(passage);
  checkMarkBits(passage);
}

/** Checks that nothing rewrites its addresses. @returns whether something does by design: then nothing more is to be said of it */
function isTranslatedByDesign(passage: Passage): boolean {
  const { state, check, fails } = passage;
  const { destinationNat, sourceNat } = state;
  if (destinationNat !== undefined && check.isOwn(destinationNat)) {
    if (isServedOnLoopback(passage)) return true;
    fails("is sent elsewhere though it dials no frontend", destinationNat);
  } else if (sourceNat !== undefined && check.isOwn(sourceNat)) {
    if (isMasqueradedByDesign(passage)) return true;
    fails("has its source rewritten though it dials no frontend", sourceNat);
  }
  return false;
}

function isServedOnLoopback({ state, check, served, isByDesign }: Passage): boolean {
  if (!isLoopbackNodePort(check, state, served)) return false;
  return served.onLoopback || isByDesign("nodeport-on-loopback", "is sent to an endpoint, and no answer comes back");
}

function isMasqueradedByDesign({ state, check, served, isByDesign }: Passage): boolean {
  const message = "leaves with a rewritten source though it dials no frontend";
  const isHost = state.isLocal || isSubset(state.region.source, check.proof.host.local);
  if (isHost && isByDesign("host-traffic-masqueraded", message)) return true;
  const isForClusterIp = isSubset(state.region.destination, served.clusterIps);
  return isForClusterIp && isByDesign("clusterip-marked-on-every-port", message);
}

/** Checks that our rules turn it away only where they do so by design, and that it comes to none of which that is not known. */
function checkEnding(passage: Passage): void {
  const { state, ending, check, claim, example, fails } = passage;
  if ("placed" in ending && ending.placed !== undefined && check.isOwn(ending.placed)) {
    if (ending.kind === "undecided")
      check.findings.undecided(claim, {
        packet: example(),
        message: `dials no frontend, and what our rules do with it is not known: ${ending.because}`,
        placed: ending.placed,
      });
    else if (!isForLoopback(check, state) && !isTurnedAwayByDesign(passage))
      fails(`is ${ending.kind} by our rules though it dials no frontend`, ending.placed);
  }
  if (ending.kind === "dropped" && ending.policyOf !== undefined && isProxyTable(ending.policyOf))
    fails(`is dropped though it dials no frontend (${ending.because})`, undefined);
}

function checkMarkBits({ state, ending, check, fails }: Passage): void {
  const changed = (markBitsWeTouch(state, check.isOwn) & ~check.markBit) >>> 0;
  if (ending.kind === "delivered" && changed !== 0)
    fails(`has mark bits changed that are not ours (0x${changed.toString(16)})`, undefined);
}

/** In tables of nftables ClusterIPs are turned away on all ports that they do not serve, and so is what no service has. */
function isTurnedAwayByDesign({ state, ending, check, served, isByDesign }: Passage): boolean {
  const { destination } = state.region;
  if (
    isUnservedNodePort(check, state, served) &&
    isByDesign("unserved-nodeport-on-every-address", `is ${ending.kind} on an address that serves no NodePorts`)
  )
    return true;
  const message = `is ${ending.kind} though it dials no frontend`;
  if (ending.kind === "refused" && isSubset(destination, served.clusterIps))
    return isByDesign("clusterip-port-refused", message);
  if (ending.kind !== "dropped") return false;
  // Which block that is may be known to who wrote the rules only.
  const isTheirRange = served.serviceRange.length === 0 && ending.placed?.chain === "cluster-ips-check";
  const isInRange = isTheirRange || isSubset(destination, served.serviceRange);
  return isInRange && isByDesign("unassigned-clusterip-dropped", message);
}

function isLoopbackNodePort(
  { proof }: CheckContext,
  { region }: SymbolicState,
  { nodePorts }: ServedElsewhere,
): boolean {
  const isPort = isSubset(region.destinationPort, nodePorts);
  return (
    isPort &&
    isSubset(region.destination, proof.host.loopback) &&
    intersect(region.protocol, protocols("tcp", "udp", "sctp")).length > 0
  );
}

function isUnservedNodePort(
  { proof }: CheckContext,
  { region }: SymbolicState,
  { unserved }: ServedElsewhere,
): boolean {
  return (
    isSubset(region.destination, proof.host.local) &&
    unserved.some(
      ({ frontend, protocol }) =>
        isSubset(region.destinationPort, singleSet(frontend.port)) && isSubset(region.protocol, singleSet(protocol)),
    )
  );
}

/** With `route_localnet` on, our rules keep others away from 127.0.0.0/8: the hole is ours, and so is the lid. */
function isForLoopback({ proof }: CheckContext, { region, destination }: SymbolicState): boolean {
  if (typeof destination === "number") return hasMember(proof.host.loopback, destination);
  return subtract(region.destination, proof.host.loopback).length === 0;
}
