import type { LinkReading } from "@svcproxy/host";
import { traceToJson } from "@svcproxy/rules";
import { familyOf, InputError, parseIpAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { Observation, ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import { ownerOfRule } from "../walk/owner-of-rule.ts";
import { lastRule } from "../walk/read-branch.ts";
import type { Leaving } from "../walk/stop.ts";

/** flannel's, where a snapshot does not tell; Linux' own default differs. */
export const VXLAN_PORT = 8472;

/** Whom it concerns where a way is closed. */
export interface WayContext {
  readonly observation: Observation;
  readonly sufferers: readonly Sufferer[];
  /** Those that are reached by it, `address:port`. */
  readonly endpoints: readonly string[];
}

/** A VXLAN device needs a MAC address for the next hop, an entry that says behind which host it is, and a way for its packets. */
export function checkTunnel(
  { at, interface: out, nextHop, endpoint }: Leaving,
  { observation, sufferers, endpoints }: WayContext,
): readonly Cause[] {
  const link = at.snapshot.links.find(({ name }) => name === out);
  if (link?.kind !== "vxlan") return [];
  const here = (finding: Finding) => [causeOf(finding, { host: at.name, sufferers, endpoints })];
  const sourceless = sourceFinding(at, link);
  if (sourceless !== undefined) return here(sourceless);
  const neighbour = at.snapshot.neighbours.find((one) => one.interface === out && one.address === nextHop);
  if (neighbour?.mac === undefined || neighbour.states.some((state) => state === "FAILED" || state === "INCOMPLETE"))
    return here(neighbourFinding({ out, nextHop, host: endpoint.host, states: neighbour?.states }));
  const { mac } = neighbour;
  const entry = at.snapshot.forwarding.find(
    (one) => one.interface === out && one.mac.toLowerCase() === mac.toLowerCase(),
  );
  if (entry?.destination === undefined) return here(entryFinding({ out, mac, host: endpoint.host, at }));
  const peer = endpoint.host === undefined ? undefined : observation.peers.get(endpoint.host);
  const ends = peer === undefined ? undefined : { at, peer, out };
  const unlike = ends === undefined ? undefined : (differingFinding(ends, link) ?? movedFinding({ ...ends, mac }));
  if (unlike !== undefined) return here(unlike);
  const port = link.vxlan?.port ?? VXLAN_PORT;
  const outer = { from: ownAddress(at, entry.destination), to: entry.destination, port };
  const outgoing = outerStop(at, outer);
  if (outgoing !== undefined) return here(outgoing);
  if (peer === undefined) return [];
  const incoming = outerStop(peer, outer);
  return incoming === undefined ? [] : [causeOf(incoming, { host: peer.name, sufferers, endpoints })];
}

/** The device sends from one address, whatever the host has by now. */
function sourceFinding(at: ObservedHost, { name, vxlan }: LinkReading): Finding | undefined {
  const { local, id } = vxlan ?? {};
  if (local === undefined || at.owns(local)) return undefined;
  const own = at.plan.host.addresses.find((address) => familyOf(address) === familyOf(local) && at.owns(address));
  return {
    code: "TUNNEL_SOURCE_MISSING",
    subject: `local ${local} of ${name}`,
    text: `${name} of ${at.name} sends from ${local}, which this host does not have, so nothing of the overlay leaves it`,
    evidence: [`ip -d link: ${name} has local ${local}`, `ip address: no device has ${local}`],
    suspect: "a host that was given another address after flanneld had made the device",
    remedy: own === undefined ? [] : [`ip link set ${name} type vxlan id ${id} local ${own}`],
    hint: "Restart flanneld, which makes it anew and tells the other hosts",
  };
}

function neighbourFinding({
  out,
  nextHop,
  host = "the other host",
  states = [],
}: {
  readonly out: string;
  readonly nextHop: string;
  readonly host: string | undefined;
  readonly states: readonly string[] | undefined;
}): Finding {
  return {
    code: "NEIGHBOUR_MISSING",
    subject: `neighbour ${nextHop} on ${out}`,
    text: `${out} has no MAC address for ${nextHop}, by which the pods of ${host} are reached`,
    evidence: [
      `ip neigh show dev ${out} has ${states.length === 0 ? "no entry for it" : `it as ${states.join(", ")}`}`,
    ],
    suspect: "flanneld, which keeps these entries, is not running",
    remedy: ["systemctl restart flanneld"],
  };
}

function entryFinding({
  out,
  mac,
  host = "the other host",
  at,
}: {
  readonly out: string;
  readonly mac: string;
  readonly host: string | undefined;
  readonly at: ObservedHost;
}): Finding {
  const address = at.plan.hosts.find(({ name }) => name === host)?.addresses[0];
  const dropped = at.snapshot.links.find(({ name }) => name === out)?.sent["dropped"] ?? 0;
  return {
    code: "TUNNEL_ENTRY_MISSING",
    subject: `${mac} on ${out}`,
    text: `${out} does not know behind which host the MAC address ${mac} of ${host} is`,
    evidence: [
      `bridge fdb show dev ${out} has no entry for it`,
      ...(dropped > 0 ? [`${out} has dropped ${dropped} packets that it was to send`] : []),
    ],
    suspect: "flanneld, which keeps these entries, is not running",
    remedy:
      address === undefined ? ["systemctl restart flanneld"] : [`bridge fdb add ${mac} dev ${out} dst ${address}`],
  };
}

interface Ends {
  readonly at: ObservedHost;
  readonly peer: ObservedHost;
  readonly out: string;
}

function otherEnd({ peer, out }: Ends): LinkReading | undefined {
  return (
    peer.snapshot.links.find(({ kind, name }) => kind === "vxlan" && name === out) ??
    peer.snapshot.links.find(({ kind }) => kind === "vxlan")
  );
}

/** The ends are of different networks, or of different ports: neither takes what the other sends. */
function differingFinding(ends: Ends, { vxlan: here }: LinkReading): Finding | undefined {
  const { at, peer, out } = ends;
  const device = otherEnd(ends);
  const there = device?.vxlan;
  if (here === undefined || there === undefined || (here.id === there.id && here.port === there.port)) return undefined;
  const text = ({ id, port }: NonNullable<LinkReading["vxlan"]>) => `VNI ${id}, udp ${port}`;
  return {
    code: "TUNNEL_DIFFERS",
    subject: `${peer.name} on ${out}`,
    text: `${out} of ${at.name} and ${device?.name} of ${peer.name} are not of one overlay: ${text(here)} here, ${text(there)} there`,
    evidence: [`ip -d link: ${out} has ${text(here)}`, `on ${peer.name}: ${device?.name} has ${text(there)}`],
    suspect: "hosts whose overlay has different settings, or one that was made anew with others",
    remedy: [],
    hint: "Give both hosts the same settings of the overlay, then restart flanneld where they were other",
  };
}

/** The other host's device has another address than the one that packets are sent to. */
function movedFinding({ mac, ...ends }: Ends & { readonly mac: string }): Finding | undefined {
  const { at, out, peer } = ends;
  const device = otherEnd(ends);
  if (device?.address === undefined || device.address.toLowerCase() === mac.toLowerCase()) return undefined;
  const strange = device.received["otherhost"] ?? 0;
  return {
    code: "TUNNEL_ADDRESS_MOVED",
    subject: `${peer.name} on ${out}`,
    text: `${at.name} sends to ${mac}, and ${device.name} of ${peer.name} has ${device.address} now`,
    evidence: [
      `ip neigh here has ${mac}, ip link there ${device.address}`,
      ...(strange > 0 ? [`${device.name} there has seen ${strange} packets for another MAC address`] : []),
    ],
    suspect: `a flanneld that made ${device.name} anew and could not tell`,
    remedy: ["systemctl restart flanneld"],
    hint: "Restart flanneld on both hosts",
  };
}

function ownAddress({ plan }: ObservedHost, destination: string): string | undefined {
  return plan.host.addresses.find((address) => address.includes(":") === destination.includes(":"));
}

/** What of a host's rules stops the packets of the tunnel. */
function outerStop(
  at: ObservedHost,
  {
    from: source,
    to: destination,
    port,
  }: { readonly from: string | undefined; readonly to: string; readonly port: number },
): Finding | undefined {
  const [from, to] = [parseIpAddress(source ?? ""), parseIpAddress(destination)];
  if (from === undefined || to === undefined) return undefined;
  try {
    const trace = at.tracer(to.includes(":") ? 6 : 4)?.trace({ from, to, port, protocol: "udp" });
    if (trace === undefined) return undefined;
    const [branch] = traceToJson(trace).branches;
    if (branch === undefined || (branch.verdict !== "dropped" && branch.verdict !== "refused")) return undefined;
    const place = lastRule(branch.steps);
    return {
      code: "TUNNEL_FILTERED",
      subject: `udp ${port} on ${at.name}`,
      text: `${at.name} lets no packets of the overlay pass (udp ${port}, ${from} to ${to})`,
      evidence: [branch.because, ...(place === undefined ? [] : [place.text])],
      suspect: place === undefined ? undefined : ownerOfRule(place),
      remedy: [`iptables -I ${at.owns(to) ? "INPUT" : "OUTPUT"} 1 -p udp --dport ${port} -j ACCEPT`],
    };
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
