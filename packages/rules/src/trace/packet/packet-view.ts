import type { Family, IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../../match.ts";
import type { DatumPart } from "../../nft/nft-rule-set.ts";

/** A packet as the rules of one chain see it: one direction of a connection, at one hook. */
export interface PacketView {
  readonly family: Family;
  /** As iptables prints it: `tcp`, `udp`, `ipv6-icmp`, … or a number. */
  readonly protocol: string;
  readonly source: IpAddress;
  readonly destination: IpAddress;
  /** Every port that it may have; undefined for protocols without ports. */
  readonly sourcePorts?: NumberRange;
  readonly destinationPorts?: NumberRange;
  readonly icmp?: { readonly type: number; readonly code: number };
  /** The TCP flags that are set, in upper case; undefined where they are not known. */
  readonly tcpFlags?: readonly string[];
  /** Bytes with the IP header. */
  readonly length?: number;
  readonly ttl?: number;
  /** The byte of the type of service, of the traffic class in IPv6; undefined where it is not known. */
  readonly tos?: number;
  /** How the frame that brought it was addressed; what the host itself sends counts as `unicast`. */
  readonly frame: "unicast" | "broadcast" | "multicast";
  readonly macSource?: string;
  /** Set where rules changed a TTL that nobody knows, so that it may not last for another hop. */
  readonly isTtlOpen?: true;
  /** skb->priority, unsigned 32 bit; undefined where it is not known. */
  readonly priority?: number;
  /** The netfilter mark, unsigned 32 bit. */
  readonly mark: number;
  readonly inInterface?: string;
  readonly outInterface?: string;
  /** Set for what came in by a bridge port and is shown to iptables (bridge-nf-call). */
  readonly bridge?: BridgeView;
  /** Sent by a program on this host: it has a socket and no sender's MAC. */
  readonly isLocal: boolean;
  /** The conntrack zone in which answers to it will be looked for, or in which it is looked for as an answer. Absent: 0. */
  readonly replyZone?: number;
  /** The zone in which it is looked for as the first of a connection. Absent: 0. */
  readonly originalZone?: number;
  /** Undefined before conntrack has seen it. */
  readonly connection?: ConnectionView;
  /** What earlier rules of the same walk wrote on `recent` lists. */
  readonly recent: RecentNote | undefined;
  /** What earlier rules of the same walk wrote on sets of nftables. */
  readonly written?: SetNote | undefined;
}

/** One thing written on a set or map as the packet passed; the latest first. */
export interface SetNote {
  /** With its table: `ip kube-proxy affinity-…`. */
  readonly set: string;
  /** The key as text; undefined where not all of it is known. */
  readonly key: string | undefined;
  readonly operation: "add" | "delete";
  /** What the map gives for it now. */
  readonly data?: readonly DatumPart[];
  /** Whether it was certainly written so. */
  readonly isCertain: boolean;
  readonly earlier: SetNote | undefined;
}

export interface BridgeView {
  /** Undefined: not known which port. */
  readonly inPort?: string;
  /** Whether the frame goes straight to another port. */
  readonly isBridged: boolean;
  readonly outPort?: string;
}

export interface Tuple {
  readonly source: IpAddress;
  readonly destination: IpAddress;
  readonly sourcePorts?: NumberRange;
  readonly destinationPorts?: NumberRange;
}

export const CONNECTION_STATES = ["NEW", "ESTABLISHED", "RELATED", "INVALID", "UNTRACKED"] as const;
export type ConnectionState = (typeof CONNECTION_STATES)[number];

export interface ConnectionView {
  readonly state: ConnectionState;
  readonly direction: "ORIGINAL" | "REPLY";
  /** Whether its first packet has left the host's hooks once, as one that comes in again by the loopback has. */
  readonly isConfirmed: boolean;
  /** Undefined: not known, as for a connection that began before we looked. */
  readonly mark: number | undefined;
  /** Undefined: not known. */
  readonly labels: ReadonlySet<string> | undefined;
  /** The conntrack zone in which its answers are awaited. Absent: 0. */
  readonly replyZone?: number;
  readonly originalZone?: number;
  /** Of the connection, which an ICMP error that belongs to it does not share; undefined: not known. */
  readonly protocol: string | undefined;
  /** An ICMP error of which only that it belongs to a connection is known: the tuples, and the direction, are not those of it. */
  readonly isErrorAbout?: true;
  /** Set for what tells that a packet is refused: the state of that packet. */
  readonly refused?: ConnectionState;
  /** Not a connection yet: what `CT` or `ct zone set` says of the one that conntrack is to look for, its tuples all zeros. */
  readonly isTemplate?: true;
  /** As the client sent it. */
  readonly original: Tuple;
  /** As the answer is expected: its source is the endpoint, its destination the source that the endpoint sees. */
  readonly reply: Tuple;
  /** Whether NAT changed the source, and the destination; undefined: not known. */
  readonly sourceTranslated: boolean | undefined;
  readonly destinationTranslated: boolean | undefined;
}

/** One thing written on a `recent` list; the latest first. */
export interface RecentNote {
  readonly list: string;
  readonly address: IpAddress;
  readonly action: "set" | "remove";
  /** Whether it was certainly written. */
  readonly certain: boolean;
  readonly earlier: RecentNote | undefined;
}
