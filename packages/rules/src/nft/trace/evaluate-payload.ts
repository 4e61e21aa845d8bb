import { isLoopback } from "../../host/interface-kind.ts";
import { protocolNumber } from "../../text/protocol-names.ts";
import type { PacketView } from "../../trace/packet/packet-view.ts";
import { hasPorts } from "../../trace/packet/request.ts";
import type { NftAsked } from "./asked.ts";
import { known, unknownValue, type Value } from "./value.ts";

/** The protocol that a packet must have for its header to be read. nft asks for it without listing it. */
const PROTOCOL_OF: Readonly<Record<string, string>> = {
  ...{ tcp: "tcp", udp: "udp", udplite: "udplite", sctp: "sctp", dccp: "dccp" },
  ...{ icmp: "icmp", icmpv6: "ipv6-icmp", igmp: "igmp", ah: "ah", esp: "esp", comp: "ipcomp" },
};

/** Whether a packet has a header; nft asks for it before what it writes there, without listing that. */
export function hasHeader(header: string, { family, protocol }: PacketView): boolean {
  if (header === "ip") return family === 4;
  if (header === "ip6") return family === 6;
  const needed = PROTOCOL_OF[header];
  return needed === undefined || needed === protocol;
}

/** A header field of the packet; undefined where it has no such header, which ends the rule. */
export function evaluatePayload(header: string, field: string, asked: NftAsked): Value | undefined {
  const { packet } = asked;
  switch (header) {
    case "ip":
      return packet.family === 4 ? ipField(field, packet) : undefined;
    case "ip6":
      return packet.family === 6 ? ip6Field(field, packet) : undefined;
    case "th":
      return portField(field, packet) ?? unknownValue(`what ${packet.protocol} has as th ${field} is not known`);
    case "ether":
      return etherField(field, asked);
    default: {
      const protocol = PROTOCOL_OF[header];
      if (protocol !== undefined && packet.protocol !== protocol) return undefined;
      return (
        portField(field, packet) ?? typeField(header, field, packet) ?? unknownValue(`${header} ${field} is not known`)
      );
    }
  }
}

function ipField(field: string, packet: PacketView): Value {
  switch (field) {
    case "saddr":
      return known(packet.source);
    case "daddr":
      return known(packet.destination);
    case "protocol":
      return protocolValue(packet);
    case "ttl":
      return packet.ttl === undefined ? { kind: "within", from: 1, to: 255, what: "the TTL" } : known(packet.ttl);
    case "length":
      return packet.length === undefined ? unknownValue("the packet's length is not known") : known(packet.length);
    case "version":
      return known(4);
    case "frag-off":
      // It is not a fragment; whether it may become one is not known.
      return { kind: "bits", known: 0xbfff, set: 0, what: "ip frag-off" };
    case "dscp":
      return dscp(packet);
    default:
      return unknownValue(`ip ${field} is not known`);
  }
}

/** An IPv6 header's length counts what comes behind its 40 bytes. */
const IPV6_HEADER_BYTES = 40;

function ip6Field(field: string, packet: PacketView): Value {
  switch (field) {
    case "saddr":
      return known(packet.source);
    case "daddr":
      return known(packet.destination);
    case "nexthdr":
      return protocolValue(packet);
    case "hoplimit":
      return packet.ttl === undefined ? { kind: "within", from: 1, to: 255, what: "the hop limit" } : known(packet.ttl);
    case "length":
      return packet.length === undefined
        ? unknownValue("the packet's length is not known")
        : known(packet.length - IPV6_HEADER_BYTES);
    case "version":
      return known(6);
    case "dscp":
      return dscp(packet);
    default:
      return unknownValue(`ip6 ${field} is not known`);
  }
}

function dscp({ tos }: PacketView): Value {
  return tos === undefined ? unknownValue("the packet's type of service is not known") : known(tos >> 2);
}

export function protocolValue({ protocol }: Pick<PacketView, "protocol">): Value {
  const number = protocolNumber(protocol);
  return number === undefined ? unknownValue(`the number of protocol ${protocol} is not known`) : known(number);
}

function portField(field: string, packet: PacketView): Value | undefined {
  if (field !== "sport" && field !== "dport") return undefined;
  const isSource = field === "sport";
  const ports = isSource ? packet.sourcePorts : packet.destinationPorts;
  if (!hasPorts(packet.protocol) || ports === undefined) return undefined;
  if (ports.from === ports.to) return known(ports.from);
  return { kind: "within", ...ports, what: isSource ? "the source port" : "the destination port" };
}

const TCP_FLAG_BITS: ReadonlyMap<string, number> = new Map([
  ["FIN", 1],
  ["SYN", 2],
  ["RST", 4],
  ["PSH", 8],
  ["ACK", 16],
  ["URG", 32],
  ["ECE", 64],
  ["CWR", 128],
]);

function typeField(header: string, field: string, packet: PacketView): Value | undefined {
  if (header === "tcp" && field === "flags") {
    if (packet.tcpFlags === undefined) return unknownValue("which TCP flags are set is not known");
    return known(packet.tcpFlags.reduce((bits, flag) => bits | (TCP_FLAG_BITS.get(flag) ?? 0), 0));
  }
  if ((header === "icmp" || header === "icmpv6") && (field === "type" || field === "code")) {
    if (packet.icmp === undefined) return unknownValue("the ICMP type is not known");
    return known(field === "type" ? packet.icmp.type : packet.icmp.code);
  }
  return undefined;
}

function etherField(field: string, { packet, host }: NftAsked): Value | undefined {
  // What the host sends has no frame yet, and before every field nft asks for Ethernet, which the loopback is not.
  if (packet.isLocal || isLoopback(host, packet.inInterface)) return undefined;
  if (field === "type") return known(packet.family === 4 ? 0x0800 : 0x86dd);
  if (field !== "saddr") return unknownValue(`ether ${field} is not known`);
  return packet.macSource === undefined
    ? unknownValue("the sender's MAC address is not known")
    : known(packet.macSource);
}
