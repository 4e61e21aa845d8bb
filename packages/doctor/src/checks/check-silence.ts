import { familyOf, formatSocketAddress } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { portOf } from "./check-layer-two.ts";
import { blockedByPolicy } from "./check-policies.ts";

/**
 * What on a packet's way out of a host may be as it is meant, and is named once an endpoint gave no answer: entries of tables that
 * somebody wrote by hand, hosts that answer no ARP, ports of a bridge that pass nothing on.
 *
 * @param way with the host as it was seen after the endpoint was dialled in vain
 */
export function causeOfSilence(way: Leaving): Finding | undefined {
  return (
    blockedByPolicy(way) ??
    (way.endpoint.host === way.at.name ? (downPort(way) ?? inBridge(way) ?? ledElsewhere(way)) : throughTunnel(way))
  );
}

/**
 * The same for several ways: what is broken on them, but not that nobody is at their end, which others know better.
 *
 * @param peers other hosts of which there is a snapshot: policies of theirs are looked at too
 */
export function causesOfSilence(ways: readonly Leaving[], peers: Observation["peers"] = new Map()): readonly Cause[] {
  return ways.flatMap((way): readonly Cause[] => {
    const { at, sufferer, endpoint } = way;
    const behind = { sufferers: [sufferer], endpoints: [formatSocketAddress(endpoint)] };
    const finding = causeOfSilence(way);
    if (finding !== undefined && finding.code !== "POD_GONE") return [causeOf(finding, { host: at.name, ...behind })];
    const peer = peers.get(endpoint.host ?? "");
    const blocked = peer === undefined ? undefined : blockedByPolicy(way, peer);
    return peer === undefined || blocked === undefined ? [] : [causeOf(blocked, { host: peer.name, ...behind })];
  });
}

/** A port of a bridge by which pods are reached is down, or has nobody at its other end. */
function downPort({ at, interface: bridge, nextHop }: Leaving): Finding | undefined {
  // The bridge forgets who was behind a port that goes down.
  if (portOf(at, { bridge, address: nextHop }) !== undefined) return undefined;
  const ports = at.snapshot.links.filter(({ master, isUp, hasCarrier }) => master === bridge && !(isUp && hasCarrier));
  const [first] = ports;
  if (first === undefined) return undefined;
  const names = ports.map(({ name }) => name).join(", ");
  return {
    code: "LINK_DOWN",
    subject: `link ${names}`,
    text: `${names} of ${first.master} is down: the pod behind it is reached by nobody`,
    evidence: ports.map(({ name, isUp }) => `ip link: ${name} ${isUp ? "has no carrier" : "is set down"}`),
    suspect: "somebody who set it down, or a pod that has ended",
    remedy: ports.flatMap(({ name, isUp }) => (isUp ? [] : [`ip link set ${name} up`])),
  };
}

/** Behind a bridge of this host: the neighbour's MAC address has to be behind one of its ports. */
function inBridge({ at, interface: bridge, nextHop, endpoint }: Leaving): Finding | undefined {
  const ports = at.snapshot.links.filter(({ master }) => master === bridge);
  const neighbour = at.snapshot.neighbours.find((one) => one.interface === bridge && one.address === nextHop);
  if (ports.length === 0 || portOf(at, { bridge, address: nextHop }) !== undefined) return undefined;
  const mac = neighbour?.mac;
  const isByHand = neighbour?.states.includes("PERMANENT") === true;
  const closed = ports.filter(({ portState = "forwarding", isUp, hasCarrier }) => {
    return isUp && hasCarrier && portState !== "forwarding";
  });
  if (closed.length > 0 && !isByHand) return closedPorts(bridge, closed);
  const nowhere = `bridge fdb show br ${bridge} has ${mac} behind none of its ports`;
  if (isByHand && mac !== undefined)
    return wrongNeighbour({ out: bridge, nextHop, mac, who: endpoint.pod ?? endpoint.address, seen: nowhere });
  const seen = neighbour === undefined ? "no entry for it" : `it as ${neighbour.states.join(", ")}`;
  const pod = at.podAt(endpoint.address);
  if (pod !== undefined)
    return cutOff({
      at,
      bridge,
      endpoint,
      pid: pod.pid,
      seen: mac === undefined ? `ip neigh has ${seen}, although it was dialled` : nowhere,
    });
  return {
    code: "POD_GONE",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `Nobody behind ${bridge} has the address ${endpoint.address} of endpoint ${endpoint.pod ?? formatSocketAddress(endpoint)} any more`,
    evidence: [
      mac === undefined
        ? `it does not answer ARP: ip neigh has ${seen}, although it was dialled`
        : `ip neigh has ${nextHop} as ${mac}, and ${nowhere}`,
    ],
    suspect: `the pod's network was taken down, or its device is no port of ${bridge} any more`,
    remedy: [],
    hint: `Look whether the pod runs, and its device: ip link show master ${bridge}`,
  };
}

/** A pod of this host to which a route leads by a device that is no bridge, and where it is not: one for a single address, or a longer block. */
function ledElsewhere({ at, interface: out, nextHop, endpoint }: Leaving): Finding | undefined {
  const pod = at.podAt(endpoint.address);
  const neighbour = at.snapshot.neighbours.find((one) => one.interface === out && one.address === nextHop);
  const isUnanswered = neighbour?.states.some((state) => state === "FAILED" || state === "INCOMPLETE") === true;
  if (pod === undefined || !isUnanswered || nextHop !== endpoint.address) return undefined;
  return {
    code: "POD_CUT_OFF",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `${endpoint.pod ?? endpoint.address} is there, and not found by ${out}, to which a route leads`,
    evidence: [
      `pid ${pod.pid} is in a network namespace that has ${endpoint.address}`,
      `ip neigh has it on ${out} as ${neighbour.states.join(", ")}, although it was dialled`,
    ],
    suspect: "a route that is more exact than the one to its bridge, or the pod answers no ARP",
    remedy: [],
    hint: `Look which route it is: ip route get ${endpoint.address}; where it leads to the wrong device: ip route del …`,
  };
}

/** The pod has its address, and the way to it does not lead there. */
function cutOff({
  at,
  bridge,
  endpoint,
  pid,
  seen,
}: {
  readonly at: ObservedHost;
  readonly bridge: string;
  readonly endpoint: Leaving["endpoint"];
  readonly pid: number;
  readonly seen: string;
}): Finding {
  // Those of pods have no address on the host's side.
  const addressed = new Set(
    at.snapshot.hostState.interfaces.flatMap(({ name, addresses }) =>
      addresses.some(({ address }) => familyOf(address) === 4) ? [name] : [],
    ),
  );
  const loose = at.snapshot.links.flatMap(({ name, kind, master, isUp }) =>
    kind === "veth" && isUp && master === undefined && !addressed.has(name) ? [name] : [],
  );
  return {
    code: "POD_CUT_OFF",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `${endpoint.pod ?? endpoint.address} is there, and not found behind ${bridge}, by which ${at.name} reaches its pods`,
    evidence: [
      `pid ${pid} is in a network namespace that has ${endpoint.address}`,
      seen,
      ...(loose.length === 0 ? [] : [`ip link: no ports of a bridge are ${loose.join(", ")}`]),
    ],
    suspect: `its device is no port of ${bridge}, a route for this pod alone is gone, or the pod answers no ARP`,
    remedy: [],
    hint: `Restart the pod, which joins it again; by hand: ip link set … master ${bridge}, or where pods have routes of their own: ip route add ${endpoint.address} dev …`,
  };
}

function closedPorts(
  bridge: string,
  ports: readonly { readonly name: string; readonly portState?: string }[],
): Finding {
  const names = ports.map(({ name }) => name).join(", ");
  return {
    code: "BRIDGE_PORT_CLOSED",
    subject: `bridge port ${names}`,
    text: `${names} of ${bridge} passes nothing on: the pod behind it is reached by nobody`,
    evidence: ports.map(({ name, portState }) => `bridge -d link: ${name} is in state ${portState ?? "unknown"}`),
    suspect: "a spanning tree that takes it for a loop, or somebody who set it",
    // Without a spanning tree a port opens when it comes up; one that waits already goes on waiting.
    remedy: [
      `ip link set ${bridge} type bridge stp_state 0`,
      ...ports.flatMap(({ name }) => [`ip link set ${name} down`, `ip link set ${name} up`]),
    ],
    hint: "A port that is new in a spanning tree opens by itself within half a minute; a bridge of pods needs no such tree",
  };
}

function wrongNeighbour({
  out,
  nextHop,
  mac,
  who,
  seen,
}: {
  readonly out: string;
  readonly nextHop: string;
  readonly mac: string;
  readonly who: string;
  readonly seen: string;
}): Finding {
  return {
    code: "NEIGHBOUR_WRONG",
    subject: `neighbour ${nextHop} on ${out}`,
    text: `${out} sends what is for ${who} to the MAC address ${mac}, and nobody is there`,
    evidence: [`ip neigh has ${nextHop} as ${mac}, PERMANENT, so that nobody is asked`, seen],
    suspect: "somebody who wrote the entry by hand, or a program that did not take it away",
    remedy: [`ip neigh del ${nextHop} dev ${out}`],
  };
}

/** Behind another host: the overlay's packets have to go to one of its addresses, and to its MAC address. */
function throughTunnel({ at, interface: out, nextHop, endpoint }: Leaving): Finding | undefined {
  const link = at.snapshot.links.find(({ name }) => name === out);
  if (link?.kind !== "vxlan") return neighbourSilent(at, { device: out, address: nextHop, host: endpoint.host });
  const { host } = endpoint;
  const mac = at.snapshot.neighbours.find((one) => one.interface === out && one.address === nextHop)?.mac;
  const entry = at.snapshot.forwarding.find(
    (one) => one.interface === out && one.mac.toLowerCase() === mac?.toLowerCase(),
  );
  const end = entry?.destination;
  if (mac === undefined || end === undefined) return undefined;
  const own = at.plan.hosts.find(({ name }) => name === host)?.addresses ?? [];
  const answer = at.router.lookup({ destination: end, mark: 0, inInterface: "lo" });
  if (own.length > 0 && !own.some((address) => address === end))
    return {
      code: "TUNNEL_ENTRY_WRONG",
      subject: `${mac} on ${out}`,
      text: `${out} sends what is for ${host ?? "the other host"} to ${end}, which is no address of it`,
      evidence: [
        `bridge fdb show dev ${out}: ${mac} dst ${end}`,
        `the topology has ${host ?? "it"} at ${own.join(", ")}`,
      ],
      suspect: "flanneld, which keeps these entries, and heard of another address or stopped",
      remedy: [`bridge fdb replace ${mac} dev ${out} dst ${own[0]}`],
    };
  if (answer.kind !== "found" || answer.route.interface === undefined) return undefined;
  return neighbourSilent(at, { device: answer.route.interface, address: answer.route.gateway ?? end, host });
}

/** Who is next on an ordinary network, and does not answer ARP. */
function neighbourSilent(
  at: ObservedHost,
  { device, address, host }: { readonly device: string; readonly address: string; readonly host: string | undefined },
): Finding | undefined {
  const neighbour = at.snapshot.neighbours.find((one) => one.interface === device && one.address === address);
  if (!neighbour?.states.some((state) => state === "FAILED" || state === "INCOMPLETE")) return undefined;
  return {
    code: "NEIGHBOUR_MISSING",
    subject: `neighbour ${address} on ${device}`,
    text: `Nobody answers ARP for ${address} on ${device}, by which the pods of ${host ?? "the other host"} are reached`,
    evidence: [`ip neigh show dev ${device} has it as ${neighbour.states.join(", ")}`],
    suspect: `${host ?? "that host"} is down, has another address now, or is on another network`,
    remedy: [],
    hint: `Look whether ${host ?? "it"} runs, and has the address ${address}; if it has another, the topology is old`,
  };
}
