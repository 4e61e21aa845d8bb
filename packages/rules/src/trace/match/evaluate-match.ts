import {
  addressWidth,
  type Cidr,
  cidrContains,
  type Family,
  familyOf,
  type IpAddress,
  unreachable,
} from "@svcproxy/topology";
import { isHeaderMatch } from "../../effects/rule-effect.ts";
import { checkReversePath } from "../../host/reverse-path.ts";
import type { HostView } from "../../host/routing.ts";
import type { Match } from "../../match.ts";
import { protocolName } from "../../text/protocol-names.ts";
import { chanceOf, complement } from "../packet/fraction.ts";
import type { PacketView } from "../packet/packet-view.ts";
import { matchAddressType } from "./match-address-type.ts";
import { matchConntrack, matchState } from "./match-connection.ts";
import { addressInRange, matchIpSet } from "./match-ip-set.ts";
import {
  matchAccounting,
  matchConnectionBytes,
  matchDeviceGroups,
  matchHelper,
  matchLabel,
  matchPolicy,
  matchTypeOfService,
  trackedConnection,
} from "./match-more.ts";
import { matchNegatableRange, matchPortList, matchRange } from "./match-ports.ts";
import { matchRecent } from "./match-recent.ts";
import { allOf, decided, type MatchResult, NO, negate, unknown, YES } from "./match-result.ts";

/** What one match says of a packet, as the kernel's would; `unknown` where that hangs on something not known. Changes nothing. */
export function evaluateMatch(match: Match, packet: PacketView, host: HostView): MatchResult {
  switch (match.kind) {
    case "source":
      return decided(holds(match.cidr, packet.source) !== match.negated);
    case "destination":
      return decided(holds(match.cidr, packet.destination) !== match.negated);
    case "inInterface":
      return decided(nameMatches(match.name, packet.inInterface) !== match.negated);
    case "outInterface":
      return decided(nameMatches(match.name, packet.outInterface) !== match.negated);
    case "protocol":
      return decided(
        (match.protocol === packet.protocol || protocolName(match.protocol) === packet.protocol) !== match.negated,
      );
    case "fragment":
      return decided(match.negated);
    case "tcp":
      return packet.protocol === "tcp" ? matchTcp(match, packet) : NO;
    case "udp":
      return packet.protocol === "udp" || packet.protocol === "udplite" ? matchPorts(match, packet) : NO;
    case "sctp":
      return packet.protocol === "sctp" ? matchSctp(match, packet) : NO;
    case "icmp":
      return matchIcmp(match, packet);
    case "multiport":
      return negate(matchMultiport(match, packet), match.negated);
    case "addrtype":
      return matchAddressType(match, packet, host.router);
    case "mark":
      return decided(((packet.mark & match.mask) >>> 0 === match.value) !== match.negated);
    case "connmark":
      return matchConnectionMark(match, packet);
    case "conntrack":
      return matchConntrack(packet, match);
    case "state":
      return negate(matchState(packet, match.states), match.negated);
    case "statistic":
      return matchStatistic(match);
    case "recent":
      return matchRecent(packet, match, host.state);
    case "comment":
      return YES;
    case "set":
      return negate(matchIpSet(packet, match, host.state), match.negated);
    case "physdev":
      return matchPhysicalDevice(match, packet);
    case "limit":
      return unknown(`how many packets came before is not known (${match.rate})`);
    case "owner":
      return matchOwner(match, packet);
    case "iprange":
      return allOf([inRange(match.source, packet.source), inRange(match.destination, packet.destination)]);
    case "socket":
      return unknown("whether a socket here owns the packet is not known");
    case "rpfilter":
      return matchReversePath(match, packet, host);
    case "mac":
      if (packet.isLocal || host.router.interfaceOf(packet.inInterface ?? "")?.isLoopback === true) return NO;
      if (packet.macSource === undefined) return unknown("the sender's MAC address is not known");
      return decided((packet.macSource === match.address) !== match.negated);
    case "length":
      return negate(matchRange(exactly(packet.length), match, "the packet's length"), match.negated);
    case "ttl":
      return matchTimeToLive(match, packet);
    case "pkttype":
      return decided((match.type === packet.frame) !== match.negated);
    case "helper":
      return matchHelper(match, packet);
    case "devgroup":
      return matchDeviceGroups(match, packet, host);
    case "connbytes":
      return matchConnectionBytes(match, packet);
    case "policy":
      return matchPolicy(match, host);
    case "nfacct":
      return matchAccounting(match, host);
    case "connlabel":
      return matchLabel(match, packet);
    case "tos":
    case "dscp":
      return matchTypeOfService(match, packet);
    case "unknown":
      return unknown(
        `\`${[match.module === undefined ? [] : ["-m", match.module], match.words].flat().join(" ")}\` is not understood`,
      );
    default:
      return unreachable(match);
  }
}

/** `cidrContains`, quick for single addresses: most rules of a service proxy have one. */
function holds(cidr: Cidr, address: IpAddress): boolean {
  if (cidr.prefixLength === 0) return true;
  if (cidr.prefixLength === addressWidth(familyOf(cidr.address))) return cidr.address === address;
  return cidrContains(cidr, address);
}

/** A final `+` stands for any rest; a packet without such an interface has the empty name. */
function nameMatches(wanted: string, name = ""): boolean {
  return wanted.endsWith("+") ? name.startsWith(wanted.slice(0, -1)) : name === wanted;
}

function matchPorts(match: Extract<Match, { readonly kind: "tcp" | "udp" | "sctp" }>, packet: PacketView): MatchResult {
  return allOf([
    matchNegatableRange(packet.sourcePorts, match.sourcePorts, "the source port"),
    matchNegatableRange(packet.destinationPorts, match.destinationPorts, "the destination port"),
  ]);
}

function matchTcp(match: Extract<Match, { readonly kind: "tcp" }>, packet: PacketView): MatchResult {
  return allOf([
    matchPorts(match, packet),
    match.flags === undefined ? YES : negate(matchFlags(match.flags, packet.tcpFlags), match.flags.negated),
    match.option === undefined ? YES : unknown("which TCP options the packet has is not known"),
  ]);
}

function matchFlags(
  { mask, set }: { readonly mask: readonly string[]; readonly set: readonly string[] },
  flags: readonly string[] | undefined,
): MatchResult {
  if (flags === undefined) return unknown("which TCP flags are set is not known");
  const wanted = new Set(set);
  return decided(
    mask.every((flag) => flags.includes(flag) === wanted.has(flag)) && set.every((flag) => mask.includes(flag)),
  );
}

function matchSctp(match: Extract<Match, { readonly kind: "sctp" }>, packet: PacketView): MatchResult {
  const chunks = match.chunkTypes === undefined ? YES : unknown("which SCTP chunks the packet has is not known");
  return allOf([matchPorts(match, packet), chunks]);
}

function matchIcmp(match: Extract<Match, { readonly kind: "icmp" }>, packet: PacketView): MatchResult {
  if (packet.protocol !== (packet.family === 4 ? "icmp" : "ipv6-icmp")) return NO;
  if (isAnyIcmp(match, packet.family)) return decided(!match.negated);
  const { icmp } = packet;
  if (icmp === undefined) return unknown("the ICMP type is not known");
  const inCode = match.code === undefined || (icmp.code >= match.code.from && icmp.code <= match.code.to);
  return decided((icmp.type === match.type && inCode) !== match.negated);
}

/** IPv4's kernel takes type 255 for every type, whatever code stands beside it. @see linux ip_tables.c, icmp_type_code_match */
export function isAnyIcmp({ type }: Extract<Match, { readonly kind: "icmp" }>, family: Family): boolean {
  return type === "any" || (family === 4 && type === 255);
}

/** Protocols of whose header multiport reads ports. */
const MULTIPORT_PROTOCOLS: readonly string[] = ["tcp", "udp", "udplite", "sctp", "dccp"];

function matchMultiport(match: Extract<Match, { readonly kind: "multiport" }>, packet: PacketView): MatchResult {
  if (!MULTIPORT_PROTOCOLS.includes(packet.protocol)) return NO;
  const source = { possible: packet.sourcePorts, what: "the source port" };
  const destination = { possible: packet.destinationPorts, what: "the destination port" };
  const ends = { source: [source], destination: [destination], either: [source, destination] };
  return matchPortList(ends[match.direction], match.ports);
}

function matchConnectionMark(
  { value, mask, negated }: Extract<Match, { readonly kind: "connmark" }>,
  packet: PacketView,
): MatchResult {
  const connection = trackedConnection(packet);
  if (connection === undefined) return NO;
  if (connection.mark === undefined) return unknown("the connection's mark is not known");
  return decided(((connection.mark & mask) >>> 0 === value) !== negated);
}

function matchStatistic(match: Extract<Match, { readonly kind: "statistic" }>): MatchResult {
  if (match.mode === "nth") {
    if (match.every <= 1) return decided(!match.negated);
    return unknown(`which of every ${match.every} packets this is, is not known`);
  }
  const chance = match.negated ? complement(chanceOf(match.threshold)) : chanceOf(match.threshold);
  if (chance.numerator === 0n) return NO;
  return chance.bits === 0 ? YES : { outcome: "chance", chance };
}

/** @see linux net/netfilter/xt_physdev.c: without a bridge port every option must be negated to hold */
function matchPhysicalDevice(match: Extract<Match, { readonly kind: "physdev" }>, { bridge }: PacketView): MatchResult {
  const { inInterface, outInterface, isIn, isOut, isBridged } = match;
  if (bridge === undefined) {
    const options = [inInterface, outInterface, isIn, isOut, isBridged].filter((option) => option !== undefined);
    return decided(options.every(({ negated }) => negated));
  }
  return allOf([
    isIn === undefined ? YES : decided(!isIn.negated),
    isOut === undefined ? YES : decided(bridge.isBridged !== isOut.negated),
    isBridged === undefined ? YES : decided(bridge.isBridged !== isBridged.negated),
    inInterface === undefined ? YES : negate(portNamed(bridge.inPort, inInterface.name), inInterface.negated),
    outInterface === undefined
      ? YES
      : negate(
          bridge.isBridged ? portNamed(bridge.outPort, outInterface.name) : decided(nameMatches(outInterface.name)),
          outInterface.negated,
        ),
  ]);
}

function portNamed(port: string | undefined, wanted: string): MatchResult {
  if (wanted === "+") return YES;
  return port === undefined ? unknown("which bridge port it passes is not known") : decided(nameMatches(wanted, port));
}

/** Without a socket every option must be negated to hold, as xt_owner.c says. */
function matchOwner(match: Extract<Match, { readonly kind: "owner" }>, packet: PacketView): MatchResult {
  const options = [match.user, match.group, match.socketExists].filter((option) => option !== undefined);
  if (!packet.isLocal) return decided(options.every(({ negated }) => negated));
  return allOf([
    match.socketExists === undefined ? YES : decided(!match.socketExists.negated),
    match.user === undefined && match.group === undefined ? YES : unknown("which user sends it is not known"),
  ]);
}

function inRange(
  range: { readonly negated: boolean; readonly from: IpAddress; readonly to: IpAddress } | undefined,
  address: IpAddress,
): MatchResult {
  return range === undefined ? YES : decided(addressInRange(address, range) !== range.negated);
}

function matchReversePath(
  match: Extract<Match, { readonly kind: "rpfilter" }>,
  packet: PacketView,
  { router }: HostView,
): MatchResult {
  if (packet.inInterface === undefined || router.interfaceOf(packet.inInterface)?.isLoopback === true)
    return decided(!match.invert);
  const check = checkReversePath(router, {
    source: packet.source,
    destination: packet.destination,
    inInterface: packet.inInterface,
    mark: match.validmark ? packet.mark : 0,
    tos: packet.tos,
    mode: match.loose ? "loose" : "strict",
    acceptLocal: match.acceptLocal,
  });
  return check.kind === "unknown" ? unknown(check.because) : decided((check.kind === "passed") !== match.invert);
}

function matchTimeToLive(
  { comparison, value }: Extract<Match, { readonly kind: "ttl" }>,
  packet: PacketView,
): MatchResult {
  const wanted = {
    eq: { from: value, to: value },
    ne: { from: value, to: value },
    lt: { from: 0, to: value - 1 },
    gt: { from: value + 1, to: 255 },
  }[comparison];
  return negate(matchRange(exactly(packet.ttl) ?? { from: 1, to: 255 }, wanted, "the TTL"), comparison === "ne");
}

function exactly(value: number | undefined): { from: number; to: number } | undefined {
  return value === undefined ? undefined : { from: value, to: value };
}

/** The order in which the kernel asks: what the IP header shows, then the extensions as written. */
export function inKernelOrder(matches: readonly Match[]): readonly Match[] {
  const header = matches.filter(isHeaderMatch);
  return header.length === 0 || header.length === matches.length
    ? matches
    : [...header, ...matches.filter((match) => !isHeaderMatch(match))];
}
