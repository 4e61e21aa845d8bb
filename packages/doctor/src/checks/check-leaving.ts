import { cidrContains, familyOf, formatSocketAddress, parseIpAddress } from "@svcproxy/topology";
import type { Cause } from "../cause.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { missingRoute } from "../walk/causes-of-stops.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";
import { checkTunnel, type WayContext } from "./check-tunnel.ts";
import { strangeMac } from "./check-underlay.ts";

/** What keeps packets that leave a host as they are meant to from the hosts and pods that they are for. */
export function checkLeaving(leaving: readonly Leaving[], observation: Observation): readonly Cause[] {
  const causes: Cause[] = [];
  const ways = Map.groupBy(leaving, ({ at, endpoint, interface: out, nextHop }) =>
    JSON.stringify([at.name, endpoint.host ?? endpoint.address, out, nextHop, familyOf(endpoint.address)]),
  );
  for (const own of ways.values()) {
    const [first] = own;
    if (first === undefined) continue;
    const sufferers = own.map(({ sufferer }) => sufferer);
    const finding =
      routeFinding(first) ?? linkFinding(first.at, first.interface) ?? underlayFinding(first, observation);
    const endpoints = own.map(({ endpoint }) => formatSocketAddress(endpoint));
    if (finding !== undefined) causes.push(causeOf(finding, { host: first.at.name, sufferers, endpoints }));
    else
      causes.push(
        ...checkTunnel(first, { observation, sufferers, endpoints }),
        ...checkWayBack(first, { observation, sufferers, endpoints }),
      );
  }
  return [...causes, ...checkDevices(leaving)];
}

/** Hosts that know one another's snapshots know their MAC addresses. */
function underlayFinding({ at, endpoint }: Leaving, { peers }: Observation): Finding | undefined {
  const peer = endpoint.host === undefined || endpoint.host === at.name ? undefined : peers.get(endpoint.host);
  if (peer === undefined) return undefined;
  for (const address of peer.plan.host.addresses) {
    const finding = strangeMac(at, { peer, address });
    if (finding !== undefined) return finding;
  }
  return undefined;
}

/** The answer's way from the other host, where there is a snapshot of it: it needs a route and a tunnel of its own. */
function checkWayBack(way: Leaving, { observation, sufferers, endpoints }: WayContext): readonly Cause[] {
  const peer = way.endpoint.host === undefined ? undefined : observation.peers.get(way.endpoint.host);
  const source = parseIpAddress(way.source);
  if (peer === undefined || peer === way.at || source === undefined) return [];
  const answer = peer.router.lookup({ destination: source, mark: 0, inInterface: "lo" });
  if (answer.kind !== "found") return [];
  const { interface: out = "", gateway, destination } = answer.route;
  const back: Leaving = {
    ...way,
    at: peer,
    endpoint: { ...way.endpoint, address: source, host: way.at.name },
    interface: out,
    nextHop: gateway ?? source,
    prefixLength: destination.prefixLength,
  };
  const routeless = routeFinding(back);
  // A device that is down takes its routes with it.
  const down =
    routeless === undefined ? undefined : peer.snapshot.links.find(({ kind, isUp }) => kind === "vxlan" && !isUp);
  const findings = [down === undefined ? linkFinding(peer, out) : downFinding(down.name, down.state), routeless].filter(
    (finding) => finding !== undefined,
  );
  if (findings.length > 0)
    return findings.map((finding) => causeOf(finding, { host: peer.name, sufferers, endpoints }));
  const seenFromThere = { ...observation, peers: new Map([[way.at.name, way.at]]) };
  return checkTunnel(back, { observation: seenFromThere, sufferers, endpoints });
}

/** A route for everything, to pods that have a block of their own. */
function routeFinding({ at, endpoint, interface: out, nextHop, prefixLength }: Leaving): Finding | undefined {
  const address = parseIpAddress(endpoint.address);
  if (address === undefined || prefixLength !== 0) return undefined;
  const owner = at.plan.hosts.find(({ podCIDRs }) => podCIDRs.some((cidr) => cidrContains(cidr, address)));
  if (owner === undefined) return undefined;
  return missingRoute(at, endpoint.address, `packets to ${address} leave by the default route, ${out} to ${nextHop}`);
}

function linkFinding({ snapshot }: ObservedHost, name: string): Finding | undefined {
  const link = snapshot.links.find((one) => one.name === name);
  if (link === undefined || (link.isUp && link.state !== "LOWERLAYERDOWN")) return undefined;
  return downFinding(name, link.state);
}

function downFinding(name: string, state: string): Finding {
  return {
    code: "LINK_DOWN",
    subject: `link ${name}`,
    text: `${name} is down, so nothing leaves by it; its routes went with it`,
    evidence: [`ip link: ${name} state ${state}`],
    suspect: "somebody who set it down, or a network service that was restarted",
    remedy: [`ip link set ${name} up`],
    hint: `ip link set ${name} up, then restart what makes its routes (systemctl restart flanneld)`,
  };
}

/** A device that is down has no routes: packets leave elsewhere, or not at all, and the device is not met any more. */
function checkDevices(leaving: readonly Leaving[]): readonly Cause[] {
  const hosts = new Map(leaving.map(({ at }) => [at.name, at]));
  return [...hosts.values()].flatMap((at) =>
    at.snapshot.links.flatMap((link): readonly Cause[] => {
      if (link.isUp && link.usesArp) return [];
      const holds = heldBy(at, link.name);
      if (link.kind !== "vxlan" && holds === undefined) return [];
      const isRemote = link.kind === "vxlan" || holds === "host";
      const ways = leaving.filter((one) => one.at === at && (one.endpoint.host !== at.name) === isRemote);
      if (link.kind === "vxlan" && !link.isUp && ways.length > 0 && ways.every(hasOwnRoute)) return [];
      const behind = {
        host: at.name,
        sufferers: ways.map(({ sufferer }) => sufferer),
        endpoints: ways.map(({ endpoint }) => formatSocketAddress(endpoint)),
      };
      if (!link.isUp) return [causeOf(downFinding(link.name, link.state), behind)];
      const hasNeighbours = at.snapshot.neighbours.some(
        (one) => one.interface === link.name && one.states.includes("PERMANENT"),
      );
      return link.kind === "vxlan" || hasNeighbours ? [] : [causeOf(arpFinding(link.name), behind)];
    }),
  );
}

/** A route for the pods of its host, or one more special: whatever else a device that is down was for, this goes without it. */
function hasOwnRoute({ at, endpoint, prefixLength = 0 }: Leaving): boolean {
  const address = parseIpAddress(endpoint.address);
  const block = at.plan.hosts
    .flatMap(({ podCIDRs }) => podCIDRs)
    .find((cidr) => address !== undefined && cidrContains(cidr, address));
  return prefixLength >= (block?.prefixLength ?? 1);
}

/** Whether a device has the address by which a host is known, or that of its block of pods. */
function heldBy({ plan, snapshot }: ObservedHost, name: string): "host" | "pods" | undefined {
  const own = snapshot.hostState.interfaces.find((one) => one.name === name)?.addresses ?? [];
  if (own.some(({ address }) => plan.host.addresses.includes(address))) return "host";
  return own.some(({ address }) => plan.host.podCIDRs.some((block) => cidrContains(block, address)))
    ? "pods"
    : undefined;
}

function arpFinding(name: string): Finding {
  return {
    code: "ARP_OFF",
    subject: `link ${name}`,
    text: `${name} asks nobody for MAC addresses, so whoever is behind it is not reached`,
    evidence: [`ip link: ${name} has the flag NOARP`],
    suspect: "somebody who set it: ip link set … arp off",
    remedy: [`ip link set ${name} arp on`],
  };
}
