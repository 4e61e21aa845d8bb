import {
  addressBits,
  addressFromBits,
  addressWidth,
  type Cidr,
  type IpAddress,
  parseIpAddress,
  unreachable,
} from "@svcproxy/topology";
import { isIdle } from "../../effects/rule-effect.ts";
import { masqueradeAddress, redirectAddress } from "../../host/masquerade-address.ts";
import type { HostView } from "../../host/routing.ts";
import type { Hook } from "../../rule-set.ts";
import type { NatRange, Target, ZoneChoice } from "../../target.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { addressesOf, type Translation, translateDestination, translateSource } from "./translate.ts";

/** What a target does to a packet that its rule took. */
export type TargetOutcome =
  /** The walk of the chain goes on, perhaps with another mark. */
  | { readonly kind: "continue"; readonly packet: PacketView }
  | { readonly kind: "accept" }
  | { readonly kind: "drop"; readonly because?: string }
  | { readonly kind: "refuse"; readonly how: string }
  | { readonly kind: "return" }
  | { readonly kind: "jump"; readonly chain: string }
  | { readonly kind: "goto"; readonly chain: string }
  /** NAT is set up and the table is left. Several packets: which of them is not known, and `because` says on what that hangs. */
  | {
      readonly kind: "translate";
      readonly end: "source" | "destination";
      readonly packets: readonly PacketView[];
      readonly because?: string;
    }
  /** One of these, hanging on something not known. */
  | { readonly kind: "either"; readonly effects: readonly TargetOutcome[]; readonly because: string }
  /** Nothing can be said of what comes after. */
  | { readonly kind: "unknown"; readonly because: string };

export interface TargetContext {
  readonly host: HostView;
  readonly hook: Hook;
  /** Where the packet is sent next; the destination itself where it is on-link. Undefined before routing. */
  readonly nextHop: IpAddress | undefined;
}

/** Addresses of a `--to-destination A-B` that are looked at one by one; a wider range is not followed. */
const RANGE_LIMIT = 64;

/** What a target does; changes nothing by itself. */
export function applyTarget(target: Target, packet: PacketView, context: TargetContext): TargetOutcome {
  switch (target.kind) {
    case "none":
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
    case "trace":
      return { kind: "continue", packet };
    case "accept":
    case "drop":
    case "return":
      return { kind: target.kind };
    case "jump":
    case "goto":
      return target;
    case "reject":
      return { kind: "refuse", how: target.with };
    case "mark":
      return { kind: "continue", packet: { ...packet, mark: ((packet.mark & ~target.mask) ^ target.value) >>> 0 } };
    case "connmark":
      return applyConnectionMark(target, packet);
    case "ct":
      return { kind: "continue", packet: target.notrack ? untracked(packet) : inZone(packet, target.zone) };
    case "dnat":
      return applyNat(target.to, { packet, end: "destination" });
    case "snat":
      return applyNat(target.to, { packet, end: "source" });
    case "masquerade":
      return applyMasquerade(target, packet, context);
    case "redirect":
      return applyRedirect(target, packet, context);
    case "tproxy":
      return {
        kind: "either",
        because: `TPROXY takes the packet where a transparent socket listens on port ${target.port}, and drops it otherwise`,
        effects: [
          { kind: "drop" },
          { kind: "unknown", because: `TPROXY hands it to a local socket on port ${target.port}` },
        ],
      };
    case "netmap":
      return applyNetmap(target.to, packet, context);
    case "set":
      return target.mapsMark
        ? { kind: "unknown", because: "the mark that a set gives the packet is not known" }
        : { kind: "continue", packet };
    case "tos":
    case "dscp":
      return { kind: "continue", packet: withTypeOfService(packet, target) };
    case "ttl":
      return { kind: "continue", packet: withTimeToLive(packet, target) };
    case "unknown":
      return isIdle(target)
        ? { kind: "continue", packet }
        : { kind: "unknown", because: `the target ${target.name} is not understood` };
    default:
      return unreachable(target);
  }
}

function withTypeOfService(packet: PacketView, target: Extract<Target, { readonly kind: "tos" | "dscp" }>): PacketView {
  const { value, mask } = target.kind === "tos" ? target : { value: target.value << 2, mask: 0xfc };
  const { tos, ...rest } = packet;
  if (tos === undefined) return mask === 0xff ? { ...rest, tos: value } : rest;
  return { ...rest, tos: (tos & ~mask) ^ value };
}

function withTimeToLive(packet: PacketView, { change, value }: Extract<Target, { readonly kind: "ttl" }>): PacketView {
  const { ttl, isTtlOpen: _, ...rest } = packet;
  if (change === "set") return { ...rest, ttl: value };
  if (ttl === undefined) return change === "dec" && value > 0 ? { ...rest, isTtlOpen: true } : packet;
  return { ...rest, ttl: change === "inc" ? Math.min(255, ttl + value) : Math.max(0, ttl - value) };
}

/** The block's bits instead of the address' own. @see linux net/netfilter/xt_NETMAP.c */
function applyNetmap(to: Cidr, packet: PacketView, { hook }: TargetContext): TargetOutcome {
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  const width = BigInt(addressWidth(packet.family) - to.prefixLength);
  const own = addressBits(packet[end]) & ((1n << width) - 1n);
  const address = addressFromBits(packet.family, addressBits(to.address) | own);
  return translated(end, packet, { address, drawsPort: false });
}

function applyConnectionMark(
  target: Extract<Target, { readonly kind: "connmark" }>,
  packet: PacketView,
): TargetOutcome {
  const { connection } = packet;
  if (connection === undefined || connection.state === "INVALID" || connection.state === "UNTRACKED")
    return { kind: "continue", packet };
  const { mark } = connection;
  const withMark = (value: number | undefined): TargetOutcome => ({
    kind: "continue",
    packet: { ...packet, connection: { ...connection, mark: value === undefined ? undefined : value >>> 0 } },
  });
  switch (target.action) {
    case "set":
      if (mark === undefined) return withMark(target.mask === 0xffffffff ? target.value : undefined);
      return withMark((mark & ~target.mask) ^ target.value);
    case "save": {
      const saved = packet.mark & target.packetMask;
      if (mark === undefined) return withMark(target.connectionMask === 0xffffffff ? saved : undefined);
      return withMark((mark & ~target.connectionMask) ^ saved);
    }
    case "restore":
      if (mark === undefined)
        return { kind: "unknown", because: "the connection's mark, which becomes the packet's, is not known" };
      return {
        kind: "continue",
        packet: { ...packet, mark: ((packet.mark & ~target.packetMask) ^ (mark & target.connectionMask)) >>> 0 },
      };
  }
}

/** NOTRACK: conntrack, and so NAT, leaves the packet alone. A connection that is known already stays. */
export function untracked(packet: PacketView): PacketView {
  if (packet.connection !== undefined) return packet;
  const tuple = { source: packet.source, destination: packet.destination };
  return {
    ...packet,
    connection: {
      state: "UNTRACKED",
      protocol: packet.protocol,
      direction: "ORIGINAL",
      isConfirmed: false,
      mark: 0,
      labels: new Set(),
      original: tuple,
      reply: { source: packet.destination, destination: packet.source },
      sourceTranslated: false,
      destinationTranslated: false,
    },
  };
}

/**
 * Zones are for what conntrack has not seen yet. Until it has, the packet belongs to a template: new, and of nobody.
 *
 * @see linux net/netfilter/xt_CT.c, nf_conntrack_zones.h (nf_ct_zone_id)
 */
function inZone(packet: PacketView, choice: ZoneChoice | undefined): PacketView {
  if (packet.connection !== undefined) return packet;
  const { zone, direction } = choice ?? { zone: 0, direction: "both" };
  return templated(packet, { zone: zone === "mark" ? packet.mark & MAX_ZONE : zone, direction });
}

/** @param choice.direction the packets that are looked for in the zone; others are in zone 0 */
export function templated(
  packet: PacketView,
  { zone, direction }: { readonly zone: number; readonly direction: ZoneChoice["direction"] },
): PacketView {
  const nobody = parseIpAddress(packet.family === 4 ? "0.0.0.0" : "::") ?? packet.source;
  const none = { from: 0, to: 0 };
  const tuple = { source: nobody, destination: nobody, sourcePorts: none, destinationPorts: none };
  return {
    ...packet,
    replyZone: direction === "original" ? 0 : zone,
    originalZone: direction === "reply" ? 0 : zone,
    connection: {
      state: "NEW",
      protocol: NO_PROTOCOL,
      direction: "ORIGINAL",
      isConfirmed: true,
      // The template is one for all packets, and keeps the mark that an earlier one gave it.
      mark: undefined,
      labels: undefined,
      original: tuple,
      reply: tuple,
      sourceTranslated: false,
      destinationTranslated: false,
      isTemplate: true,
    },
  };
}

/** Number 0. */
const NO_PROTOCOL = "hopopt";

const MAX_ZONE = 0xffff;

function applyNat(to: NatRange, { packet, end }: { packet: PacketView; end: "source" | "destination" }): TargetOutcome {
  const translate = end === "source" ? translateSource : translateDestination;
  const addresses = to.addresses === undefined ? [undefined] : addressesOf(to.addresses, RANGE_LIMIT);
  if (addresses === undefined)
    return {
      kind: "unknown",
      because: `which address of ${to.addresses?.from}-${to.addresses?.to} it gets is not known`,
    };
  const packets = addresses.map((address) =>
    translate(packet, {
      ...(address === undefined ? {} : { address }),
      ...(to.ports === undefined ? {} : { ports: to.ports }),
      drawsPort: to.random || to.randomFully,
    }),
  );
  return packets.length === 1
    ? { kind: "translate", end, packets }
    : {
        kind: "translate",
        end,
        packets,
        because: `which address of ${to.addresses?.from}-${to.addresses?.to} it gets is not known`,
      };
}

function applyMasquerade(
  target: Extract<Target, { readonly kind: "masquerade" }>,
  packet: PacketView,
  { host, nextHop }: TargetContext,
): TargetOutcome {
  if (packet.outInterface === undefined) return { kind: "unknown", because: "MASQUERADE needs an outgoing interface" };
  const address = masqueradeAddress(host, {
    outInterface: packet.outInterface,
    nextHop: nextHop ?? packet.destination,
    destination: packet.destination,
  });
  if (address === undefined) return { kind: "drop", because: `MASQUERADE finds no address on ${packet.outInterface}` };
  return translated("source", packet, {
    address,
    ...(target.ports === undefined ? {} : { ports: target.ports }),
    drawsPort: target.random || target.randomFully,
  });
}

function translated(end: "source" | "destination", packet: PacketView, translation: Translation): TargetOutcome {
  const translate = end === "source" ? translateSource : translateDestination;
  return { kind: "translate", end, packets: [translate(packet, translation)] };
}

function applyRedirect(
  target: Extract<Target, { readonly kind: "redirect" }>,
  packet: PacketView,
  { host, hook }: TargetContext,
): TargetOutcome {
  const address =
    hook === "OUTPUT"
      ? parseIpAddress(packet.family === 4 ? "127.0.0.1" : "::1")
      : redirectAddress(host, packet.family, packet.inInterface ?? "");
  if (address === undefined)
    return { kind: "drop", because: `REDIRECT finds no address on ${packet.inInterface ?? "the incoming interface"}` };
  return translated("destination", packet, {
    address,
    ...(target.ports === undefined ? {} : { ports: target.ports }),
    drawsPort: target.random,
  });
}
