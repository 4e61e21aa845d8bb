import { familyOf, type IpAddress } from "@svcproxy/topology";
import type { NetworkInterface } from "../../host/host-state.ts";
import { bridgeAsksRules, isBridge, isLoopbackAddress, isOnLink, isTunnel } from "../../host/interface-kind.ts";
import type { HostView } from "../../host/routing.ts";
import { connectionOf, reverse, tupleOf } from "../packet/entry.ts";
import { ONE } from "../packet/fraction.ts";
import type { PacketView, Tuple } from "../packet/packet-view.ts";
import { resolveBranches } from "./resolve-branches.ts";
import type { WalkContext } from "./rule-visit.ts";
import { rerouteOutput, walkArriving, walkLocalOutput } from "./walk-path.ts";
import type { Ended, Ending, Past, WalkState } from "./walk-state.ts";
import { isBehindItsConnection, isSameTuple, isWritten, packetAsSent } from "./written-header.ts";

/** Whether the answer to a delivered packet finds back to who sent it, with its addresses mapped back. */
export interface ReplyPath {
  /** Undefined: that hangs on something that the host's state does not say. */
  readonly returns: boolean | undefined;
  /** A sentence. */
  readonly because: string;
  /** Where it is lost by something else than what it meets on its way through this host. */
  readonly fact?: ReplyFact;
  /** How its way through this host ended, where it did not come back. */
  readonly ending?: Ending;
  /** Its way through this host; undefined where it does not come here. */
  readonly past?: Past | undefined;
}

export type ReplyFact =
  /** A bridge passes it on without asking rules. */
  | "bridge-past-netfilter"
  /** The endpoint sees a source that it does not answer by this host: nothing rewrote it. */
  | "source-not-rewritten";

/** Follows the answer to a delivered packet from its endpoint to the client. */
export function traceReply(context: WalkContext, { state, ending }: Ended): ReplyPath | undefined {
  if (ending.kind !== "delivered") return undefined;
  const { connection } = state.packet;
  if (connection === undefined && !isWritten(state)) return { returns: true, because: "no rule of this host is asked" };
  if (ending.to === "host") return walkReply(context, state, undefined);
  const way = wayBack(context.host, state, ending.interface);
  if (way.kind === "elsewhere") return omitFact(way);
  const reply = walkReply(context, state, ending.interface);
  return reply.returns === true && way.kind === "unsure"
    ? { returns: undefined, because: way.because, past: reply.past }
    : reply;
}

function omitFact({ returns, because, fact }: Extract<WayBack, { readonly kind: "elsewhere" }>): ReplyPath {
  return fact === undefined ? { returns, because } : { returns, because, fact };
}

export type WayBack =
  | { readonly kind: "here" }
  /** It comes back here if something beyond this host is so. */
  | { readonly kind: "unsure"; readonly because: string }
  | {
      readonly kind: "elsewhere";
      readonly returns: boolean;
      readonly because: string;
      readonly fact?: ReplyFact;
    };

/** Whether the endpoint's answer comes back by the interface by which its request left. */
export function wayBack(host: HostView, state: WalkState, out: string): WayBack {
  const { packet } = state;
  const device = host.router.interfaceOf(out);
  const seen = packet.source;
  const isTranslated =
    packet.connection?.sourceTranslated !== false ||
    packet.connection.destinationTranslated !== false ||
    isWritten(state);
  if (isLoopbackAddress(seen)) {
    return {
      kind: "elsewhere",
      returns: false,
      because: `the other side sees ${seen} as the source, which is an address of its own`,
    };
  }
  if (seen === packet.destination && isTranslated) {
    return {
      kind: "elsewhere",
      returns: false,
      because: `the endpoint sees its own address ${seen} as the source, and would answer itself`,
      fact: "source-not-rewritten",
    };
  }
  if (device !== undefined && isBridge(device) && isOnLink(device, seen) && !host.router.isLocal(seen)) {
    if (!isTranslated || bridgeAsksRules(host, packet.family)) return { kind: "here" };
    return {
      kind: "elsewhere",
      returns: false,
      because: `${out} switches the answer straight to ${seen}, past the rules that would map it back (bridge-nf-call is off)`,
      fact: "bridge-past-netfilter",
    };
  }
  if (device === undefined || isOwnSegment(host, device)) return { kind: "here" };
  return wayBackOverNetwork(host, state, { device, isTranslated });
}

function wayBackOverNetwork(
  host: HostView,
  { packet, route }: WalkState,
  { device, isTranslated }: { device: NetworkInterface; isTranslated: boolean },
): WayBack {
  const seen = packet.source;
  const home = interfaceHolding(host, seen);
  // An overlay's own address may be the anycast one of the pods' subnet too, which routes tell of first.
  const isOwn = host.router.isLocal(seen) || home?.addresses.some(({ address }) => address === seen) === true;
  if (home?.name === device.name && isOwn) return { kind: "here" };
  const segment = home === undefined ? undefined : isOwnSegment(host, home);
  if (segment === true) {
    // Other hosts reach our pods over the overlay; without one their routers must know the way.
    if (isTunnel(device) || route?.gateway !== undefined) return { kind: "here" };
    return { kind: "unsure", because: `it comes back if ${packet.destination} has a route to ${seen} by this host` };
  }
  if (isTunnel(device)) {
    const because = `${seen} is not reached by ${device.name}: the other side drops the packet or answers past this host`;
    return { kind: "elsewhere", returns: false, because, fact: "source-not-rewritten" };
  }
  if (host.router.isLocal(seen))
    return { kind: "unsure", because: `it comes back if ${packet.destination} reaches ${seen} by ${device.name}` };
  return isTranslated
    ? {
        kind: "elsewhere",
        returns: false,
        because: `${packet.destination} answers ${seen} straight, past the rules of this host that would map the addresses back`,
        fact: "source-not-rewritten",
      }
    : { kind: "elsewhere", returns: true, because: "nothing was mapped, so any way back will do" };
}

/** The interface that has the address, or behind which it lives. */
function interfaceHolding(host: HostView, address: PacketView["source"]): NetworkInterface | undefined {
  const own = host.state.interfaces.find(({ addresses }) => addresses.some((one) => one.address === address));
  if (own !== undefined) return own;
  const answer = host.router.lookup({ destination: address, mark: 0, inInterface: "lo" });
  return answer.kind === "found" ? host.router.interfaceOf(answer.route.interface ?? "") : undefined;
}

/**
 * Interfaces behind which there is nothing but this host's own pods: they have no way but through it. One by which a
 * gateway is reached leads further, and so does a bridge with a port of another kind.
 */
export function isOwnSegment({ state }: HostView, device: NetworkInterface): boolean {
  if (state.routes.some((route) => route.interface === device.name && route.gateway !== undefined)) return false;
  const ports = state.interfaces.filter(({ master }) => master === device.name);
  const kind = device.linkKind ?? (ports.length > 0 ? "bridge" : "");
  if (kind !== "bridge") return ["veth", "dummy", "netkit", "ipvlan"].includes(kind);
  return ports.every(({ linkKind }) => linkKind === undefined || ["veth", "tun", "dummy"].includes(linkKind));
}

function walkReply(context: WalkContext, state: WalkState, arrivesBy: string | undefined): ReplyPath {
  const { host } = context;
  const { connection, family, protocol } = state.packet;
  const request = tupleOf(state.packet);
  const device = host.router.interfaceOf(arrivesBy ?? "");
  // Its length and TTL are its sender's; of the request they tell nothing.
  const packet: PacketView = {
    family,
    protocol,
    ...reverse(request),
    ...(protocol === "tcp" ? { tcpFlags: ["SYN", "ACK"] } : {}),
    mark: 0,
    isLocal: arrivesBy === undefined,
    frame: "unicast",
    recent: undefined,
    ...(arrivesBy === undefined ? {} : { inInterface: arrivesBy }),
    ...(device !== undefined && isBridge(device) && bridgeAsksRules(host, family)
      ? { bridge: { isBridged: false, ...portOfEndpoint(state.packet) } }
      : {}),
  };
  const hasConnection = connection !== undefined && connection.state !== "UNTRACKED" && connection.state !== "INVALID";
  // The answer to what conntrack does not know is a new connection to it, and so is one to addresses that a rule wrote past it.
  const isTracked = hasConnection && !isBehindItsConnection(state.packet);
  const passage = {
    context,
    connection: (seen: PacketView) =>
      isTracked && (seen.replyZone ?? 0) === (connection.replyZone ?? 0)
        ? { ...connection, state: "ESTABLISHED" as const, direction: "REPLY" as const, isConfirmed: true }
        : connectionOf({ from: seen.source, to: seen.destination })(seen),
    reroute: rerouteOutput(context),
  };
  const entering: WalkState = { packet, probability: ONE, assumptions: undefined, past: undefined };
  const { ended } = arrivesBy === undefined ? walkLocalOutput(passage, entering) : walkArriving(passage, entering);
  return judge(host, ended, reverse(tupleOf(packetAsSent(state))));
}

/** Where an endpoint dialled itself, its answer comes in by the port by which its request came. */
function portOfEndpoint({ bridge, destination, connection }: PacketView): { readonly inPort?: string } {
  const isClient = destination === connection?.original.source;
  return isClient && bridge?.inPort !== undefined ? { inPort: bridge.inPort } : {};
}

function judge(host: HostView, ended: readonly Ended[], expected: Tuple): ReplyPath {
  return judgeAnswer(host, ended, { client: expected.destination, what: "answer", expected });
}

/** What becomes of an answer, of all its ways. @param expected as the client waits for it; undefined: from anyone will do */
export function judgeAnswer(
  host: HostView,
  ended: readonly Ended[],
  { client, what, expected }: { readonly client: IpAddress; readonly what: string; readonly expected?: Tuple },
): ReplyPath {
  const branches = resolveBranches(ended);
  const [first] = branches;
  if (first === undefined) return { returns: undefined, because: "its way could not be followed" };
  if (first.kind === "undecided")
    return { returns: undefined, because: first.question.because, past: first.question.past };
  const { past } = first.ended.state;
  const { ending } = first.ended;
  if (ending.kind === "undecided") return { returns: undefined, because: ending.because, past };
  const isBack = ending.kind === "delivered";
  if (isBack && host.router.isLocal(client) && ending.to !== "host")
    return { returns: false, because: `the host does not keep it for itself: it is ${first.outcome.because}`, past };
  const { packet } = first.ended.state;
  if (isBack && expected !== undefined && !isSameTuple(packet, expected)) {
    return { returns: false, because: describeStranger(packet, expected), past };
  }
  if (isBack && packet.destination !== client)
    return { returns: false, because: `the ${what} goes to ${packet.destination}, not to ${client}`, past };
  if (branches.length > 1) return { returns: undefined, because: `it may be lost: ${first.outcome.because}`, past };
  return isBack
    ? { returns: true, because: `it comes back the same way and is ${first.outcome.because}`, past }
    : { returns: false, because: `the ${what} is ${first.outcome.verdict}: ${first.outcome.because}`, ending, past };
}

/** Why a client does not take a packet for the answer that it waits for. */
function describeStranger(packet: PacketView, expected: Tuple): string {
  const hasSource = packet.source === expected.source && packet.sourcePorts?.from === expected.sourcePorts?.from;
  if (hasSource) return `the client gets it at another port than it dialled from`;
  const [from, dialled] = [packet, expected].map(({ source, sourcePorts }) =>
    sourcePorts === undefined || packet.source !== expected.source
      ? source
      : `${familyOf(source) === 4 ? source : `[${source}]`}:${sourcePorts.from}`,
  );
  return `the client gets it from ${from}, not from ${dialled} that it dialled`;
}
