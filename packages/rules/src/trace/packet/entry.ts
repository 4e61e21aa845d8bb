import { familyOf, inputError } from "@svcproxy/topology";
import type { NetworkInterface } from "../../host/host-state.ts";
import { bridgeAsksRules, isBridge, isTunnel } from "../../host/interface-kind.ts";
import type { HostView } from "../../host/routing.ts";
import type { ConnectionView, PacketView, Tuple } from "./packet-view.ts";
import { CLIENT_PORTS, checkRequest, hasPorts, type TraceRequest } from "./request.ts";

/** Where a packet enters the host, and as what. */
export interface Entry {
  readonly kind: "local" | "arriving";
  readonly packet: PacketView;
  /** A sentence for people. */
  readonly told: string;
}

/**
 * Decides where a packet enters: what has an address of the host is sent by the host, all else comes in by the interface
 * behind which its source lives.
 *
 * @throws InputError where the request makes no packet, or nobody can say by which interface it comes
 */
export function enterHost(host: HostView, request: TraceRequest): Entry {
  const packet = packetOf(request, checkRequest(request));
  if (request.inInterface === undefined && host.router.isLocal(request.from))
    return { kind: "local", packet: { ...packet, isLocal: true }, told: "The host itself sends it." };
  const port = request.inInterface ?? interfaceBehind(host, request);
  const device = host.router.interfaceOf(port);
  if (device === undefined)
    throw inputError(
      "UNKNOWN_INTERFACE",
      `Cannot trace a packet that comes in by ${JSON.stringify(port)}: the host has no such interface`,
      {
        hint: `Its interfaces: ${host.state.interfaces.map(({ name }) => name).join(", ")}`,
      },
    );
  const master = device.master === undefined ? undefined : host.router.interfaceOf(device.master);
  const inside = master !== undefined && isBridge(master) ? master : device;
  const bridge = isBridge(inside) && bridgeAsksRules(host, packet.family);
  const inPort = inside === device ? {} : { inPort: device.name };
  return {
    kind: "arriving",
    packet: {
      ...packet,
      inInterface: inside.name,
      frame: frameTo(host, packet.destination),
      ...(comesByVeth(host, device) ? { priority: 0 } : {}),
      ...(bridge ? { bridge: { isBridged: false, ...inPort } } : {}),
    },
    told: `It comes from ${originOf(inside)}: in by ${inside.name}${inside === device ? "" : `, port ${device.name}`}.`,
  };
}

/** A pair of veth clears the priority of what passes it (`skb->priority`); other drivers may set one. */
function comesByVeth({ state }: HostView, device: NetworkInterface): boolean {
  if (!isBridge(device)) return device.linkKind === "veth";
  const ports = state.interfaces.filter(({ master }) => master === device.name);
  return ports.length > 0 && ports.every(({ linkKind }) => linkKind === "veth");
}

function frameTo({ router }: HostView, destination: PacketView["destination"]): PacketView["frame"] {
  const type = router.addressType(destination);
  return type === "MULTICAST" ? "multicast" : type === "BROADCAST" ? "broadcast" : "unicast";
}

/** What lives behind an interface, as far as its kind tells. */
function originOf(device: NetworkInterface): string {
  if (isBridge(device)) return "behind this host's bridge";
  return isTunnel(device) ? "another host, over the overlay" : "outside";
}

function interfaceBehind(host: HostView, { from, to, mark = 0, tos }: TraceRequest): string {
  const answer = host.router.lookup({
    destination: from,
    source: to,
    mark,
    inInterface: "lo",
    ...(tos === undefined ? {} : { tos }),
  });
  if (answer.kind === "found" && answer.route.type === "unicast" && answer.route.interface !== undefined)
    return answer.route.interface;
  // A policy that refuses it, or sends it elsewhere, does so once it is here: it comes from where the main table has it.
  const home = host.router.mainRoute(from);
  if (home?.type === "unicast" && home.interface !== undefined) return home.interface;
  const because = answer.kind === "unknown" ? answer.because : "no route of the host leads to it";
  throw inputError("NO_WAY_IN", `Cannot tell by which interface ${from} comes in: ${because}`, {
    hint: "Name it with --in-interface",
  });
}

function packetOf(request: TraceRequest, protocol: string): PacketView {
  const { from, to, port, sourcePort, mark = 0, length, ttl, tos, macSource } = request;
  const family = familyOf(from);
  return {
    family,
    protocol,
    source: from,
    destination: to,
    ...(hasPorts(protocol) && port !== undefined
      ? {
          sourcePorts: sourcePort === undefined ? CLIENT_PORTS : { from: sourcePort, to: sourcePort },
          destinationPorts: { from: port, to: port },
        }
      : {}),
    ...(protocol === (family === 4 ? "icmp" : "ipv6-icmp")
      ? { icmp: request.icmp ?? { type: family === 4 ? 8 : 128, code: 0 } }
      : {}),
    ...(protocol === "tcp" && (request.state ?? "NEW") === "NEW" ? { tcpFlags: ["SYN"] } : {}),
    ...(length === undefined ? {} : { length }),
    ...(ttl === undefined ? {} : { ttl }),
    ...(tos === undefined ? {} : { tos }),
    frame: "unicast",
    ...(macSource === undefined ? {} : { macSource: macSource.toLowerCase() }),
    mark: mark >>> 0,
    isLocal: false,
    recent: undefined,
  };
}

/** What conntrack makes of a packet that it has not seen: a new connection, or what the request says it belongs to. */
export function connectionOf({ state = "NEW" }: TraceRequest): (packet: PacketView) => ConnectionView {
  return (packet) => {
    const isKnown = state === "NEW" || state === "INVALID" || state === "UNTRACKED";
    const isErrorAbout = state === "RELATED" && isIcmp(packet);
    return {
      state,
      protocol: isErrorAbout ? undefined : packet.protocol,
      ...(isErrorAbout ? { isErrorAbout } : {}),
      direction: "ORIGINAL",
      isConfirmed: !isKnown && state !== "RELATED",
      mark: isKnown ? 0 : undefined,
      labels: isKnown ? NO_LABELS : undefined,
      ...(packet.replyZone === undefined ? {} : { replyZone: packet.replyZone }),
      ...(packet.originalZone === undefined ? {} : { originalZone: packet.originalZone }),
      original: tupleOf(packet),
      reply: reverse(tupleOf(packet)),
      sourceTranslated: isKnown ? false : undefined,
      destinationTranslated: isKnown ? false : undefined,
    };
  };
}

function isIcmp({ protocol }: Pick<PacketView, "protocol">): boolean {
  return protocol === "icmp" || protocol === "ipv6-icmp";
}

const NO_LABELS: ReadonlySet<string> = new Set();

export function tupleOf({ source, destination, sourcePorts, destinationPorts }: PacketView): Tuple {
  return {
    source,
    destination,
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    ...(destinationPorts === undefined ? {} : { destinationPorts }),
  };
}

export function reverse({ source, destination, sourcePorts, destinationPorts }: Tuple): Tuple {
  return {
    source: destination,
    destination: source,
    ...(destinationPorts === undefined ? {} : { sourcePorts: destinationPorts }),
    ...(sourcePorts === undefined ? {} : { destinationPorts: sourcePorts }),
  };
}
