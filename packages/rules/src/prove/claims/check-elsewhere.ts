import { familyOf, type HostPlan, servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { isProxyTable } from "../../hooks/any-rule.ts";
import { CONNECTION_STATES } from "../../trace/packet/packet-view.ts";
import { ALL_PORTS, ALL_PROTOCOLS, protocols } from "../compile/condition.ts";
import type { Finding } from "../report/proof.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, isSubset, rangeSet, singleSet, subtract, unite } from "../space/index-set.ts";
import { ANY_MARK, hasMark, marksWithin } from "../space/mark-set.ts";
import type { Region } from "../space/region.ts";
import type { EndedState, SymbolicState } from "../walk/symbolic-state.ts";
import { enteringState, walkHost } from "../walk/walk-host.ts";
import type { CheckContext } from "./check-context.ts";
import { markBitsWeTouch } from "./own-rules.ts";
import type { FrontendSpace } from "./plan-frontends.ts";
import { elsewhere } from "./plan-frontends.ts";

/** Packets of connections that began before, and those that conntrack was told to leave alone. INVALID promises nothing. */
const OLDER_STATES = unite(
  (["ESTABLISHED", "UNTRACKED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))),
);
/** Those that the nat table sees. What an older connection announced (RELATED) may dial a frontend too, so it is looked at elsewhere only. */
const FIRST_STATES = unite((["NEW", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))));

/** Checks that a packet to no frontend, and every packet of an older connection, passes our rules as it came. */
export function checkElsewhere(
  check: CheckContext,
  frontends: readonly FrontendSpace[],
  { node }: Pick<HostPlan, "node">,
): void {
  const onLoopback = servesNodePortsOnLocalhost(node);
  const { proof } = check;
  const arriving = unite(proof.host.arriving.values());
  const parts = [
    ...elsewhere(frontends, proof).map((part) => ({ ...part, state: FIRST_STATES })),
    { destination: proof.space.everything, protocol: ALL_PROTOCOLS, destinationPort: ALL_PORTS, state: OLDER_STATES },
  ];
  const nodePorts = unite(
    frontends.filter(({ frontend }) => frontend.kind === "nodePort").map(({ frontend }) => singleSet(frontend.port)),
  );
  const unserved = frontends.filter(
    ({ frontend: { kind, clients } }) =>
      kind === "nodePort" && Object.values(clients).some((handling) => handling.kind !== "forward"),
  );
  const clusterIps = unite(
    frontends.filter(({ frontend }) => frontend.kind === "clusterIP").map(({ destination }) => destination),
  );
  const serviceRange = unite(
    (node.serviceCIDRs ?? [])
      .filter(({ address }) => familyOf(address) === proof.space.family)
      .map((cidr) => proof.space.setOf(cidr)),
  );
  for (const part of parts.flatMap((one) => inPieces(one, proof.space.size))) {
    for (const [from, source] of [
      ["host", proof.host.local],
      ["network", arriving],
    ] as const) {
      const region: Region = { ...part, source, sourcePort: ALL_PORTS, mark: ANY_MARK };
      if (source.length === 0 || region.protocol.length === 0) continue;
      for (const end of walkHost(proof, enteringState(region, from)))
        checkUntouched(check, end, { nodePorts, unserved, onLoopback, clusterIps, serviceRange });
    }
  }
}

/** So many pieces of destinations are walked at once: what becomes of packets to thousands of them need not be there together. */
const DESTINATIONS_AT_ONCE = 512;

function inPieces<Part extends { readonly destination: IndexSet }>(part: Part, size: number): readonly Part[] {
  const pieces: Part[] = [];
  for (let first = 0; first < size; first += DESTINATIONS_AT_ONCE) {
    const destination = intersect(part.destination, rangeSet(first, Math.min(size, first + DESTINATIONS_AT_ONCE)));
    if (destination === part.destination) return [part];
    if (destination.length > 0) pieces.push({ ...part, destination });
  }
  return pieces;
}

interface Known {
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

function checkUntouched(check: CheckContext, { state, ending }: EndedState, known: Known): void {
  const marks = marksWithin(state.region.mark, { care: check.markBit, value: 0 });
  // A packet that comes with our own bit set asks for what the bit means.
  if (marks === undefined) return;
  check.countCases(1);
  const part = { ...state, region: { ...state.region, mark: marks } };
  const claim = hasMark(marks, 0) ? 4 : 7;
  const { isOwn } = check;
  const fails = (message: string, placed: Finding["placed"]) => {
    const finding = { packet: check.examples.of(part.region), message, ...(placed === undefined ? {} : { placed }) };
    if (state.assumptions === undefined) check.findings.broken(claim, finding);
    else
      check.findings.undecided(claim, {
        ...finding,
        message: `${message}, if \`${state.assumptions.question.text}\` ${state.assumptions.holds ? "holds" : "does not hold"}`,
      });
  };
  const finding = (message: string) => (): Finding => ({ packet: check.examples.of(part.region), message });
  const isTelling = () => check.examples.isKnown(part.region);
  const { destinationNat, sourceNat } = state;
  if (destinationNat !== undefined && isOwn(destinationNat)) {
    if (known.onLoopback && isLoopbackNodePort(check, state, known)) return;
    if (
      isLoopbackNodePort(check, state, known) &&
      check.findings.byDesign(
        "nodeport-on-loopback",
        finding("is sent to an endpoint, and no answer comes back"),
        isTelling,
      )
    )
      return;
    fails("is sent elsewhere though it dials no frontend", destinationNat);
  } else if (sourceNat !== undefined && isOwn(sourceNat)) {
    const isHost = state.isLocal || isSubset(state.region.source, check.proof.host.local);
    if (
      isHost &&
      check.findings.byDesign(
        "host-traffic-masqueraded",
        finding("leaves with a rewritten source though it dials no frontend"),
        isTelling,
      )
    )
      return;
    const isForClusterIp = isSubset(state.region.destination, known.clusterIps);
    if (
      isForClusterIp &&
      check.findings.byDesign(
        "clusterip-marked-on-every-port",
        finding("leaves with a rewritten source though it dials no frontend"),
        isTelling,
      )
    )
      return;
    fails("has its source rewritten though it dials no frontend", sourceNat);
  }
  if (
    "placed" in ending &&
    ending.placed !== undefined &&
    isOwn(ending.placed) &&
    ending.kind !== "undecided" &&
    !isForLoopback(check, state)
  ) {
    const isShown =
      (isUnservedNodePort(check, state, known) &&
        check.findings.byDesign(
          "unserved-nodeport-on-every-address",
          finding(`is ${ending.kind} on an address that serves no NodePorts`),
          isTelling,
        )) ||
      turnsAwayByDesign(check, { state, ending }, { ...known, finding, isTelling });
    if (!isShown) fails(`is ${ending.kind} by our rules though it dials no frontend`, ending.placed);
  }
  // Rules of ours that such a packet should not even come to.
  if (ending.kind === "undecided" && ending.placed !== undefined && isOwn(ending.placed))
    check.findings.undecided(claim, {
      packet: check.examples.of(part.region),
      message: `dials no frontend, and what our rules do with it is not known: ${ending.because}`,
      placed: ending.placed,
    });
  if (ending.kind === "dropped" && ending.policyOf !== undefined && isProxyTable(ending.policyOf))
    fails(`is dropped though it dials no frontend (${ending.because})`, undefined);
  const changed = (markBitsWeTouch(state, isOwn) & ~check.markBit) >>> 0;
  if (ending.kind === "delivered" && changed !== 0)
    fails(`has mark bits changed that are not ours (0x${changed.toString(16)})`, undefined);
}

/** In tables of nftables ClusterIPs are turned away on all ports that they do not serve, and so is what no service has. */
function turnsAwayByDesign(
  { findings }: CheckContext,
  { state: { region }, ending }: EndedState,
  { clusterIps, serviceRange, finding, isTelling }: Known & Telling,
): boolean {
  const told = finding(`is ${ending.kind} though it dials no frontend`);
  if (ending.kind === "refused" && isSubset(region.destination, clusterIps))
    return findings.byDesign("clusterip-port-refused", told, isTelling);
  // Which block that is may be known to who wrote the rules only.
  const isTheirRange =
    serviceRange.length === 0 && ending.kind === "dropped" && ending.placed?.chain === "cluster-ips-check";
  return (
    ending.kind === "dropped" &&
    (isTheirRange || isSubset(region.destination, serviceRange)) &&
    findings.byDesign("unassigned-clusterip-dropped", told, isTelling)
  );
}

interface Telling {
  readonly finding: (message: string) => () => Finding;
  readonly isTelling: () => boolean;
}

function isLoopbackNodePort({ proof }: CheckContext, { region }: SymbolicState, { nodePorts }: Known): boolean {
  const isPort = isSubset(region.destinationPort, nodePorts);
  return (
    isPort &&
    isSubset(region.destination, proof.host.loopback) &&
    intersect(region.protocol, protocols("tcp", "udp", "sctp")).length > 0
  );
}

function isUnservedNodePort({ proof }: CheckContext, { region }: SymbolicState, { unserved }: Known): boolean {
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
