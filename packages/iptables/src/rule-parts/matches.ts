import type { Match } from "@svcproxy/rules";
import type { Cidr, IpAddress, Port, Protocol } from "@svcproxy/topology";
import { addressWidth, familyOf, visible } from "@svcproxy/topology";

// Matches without a variable part are shared: a large cluster writes them a hundred thousand times.
const PROTOCOLS: Readonly<Record<Protocol, Match>> = {
  tcp: { kind: "protocol", negated: false, protocol: "tcp" },
  udp: { kind: "protocol", negated: false, protocol: "udp" },
  sctp: { kind: "protocol", negated: false, protocol: "sctp" },
};
const MODULES: Readonly<Record<Protocol, Match>> = {
  tcp: { kind: "tcp" },
  udp: { kind: "udp" },
  sctp: { kind: "sctp" },
};

/** `-p tcp` */
export function protocolMatch(protocol: Protocol): Match {
  return PROTOCOLS[protocol];
}

/** `-m tcp` */
export function moduleMatch(protocol: Protocol): Match {
  return MODULES[protocol];
}

/** `-m tcp --dport PORT`, or `--dport FROM:TO`; both ends are in the range */
export function destinationPorts(protocol: Protocol, { from, to }: { from: number; to: number }): Match {
  return { kind: protocol, destinationPorts: { negated: false, from, to } };
}

/** `-m tcp --dport PORT` */
export function destinationPort(protocol: Protocol, port: Port): Match {
  return destinationPorts(protocol, { from: port, to: port });
}

/** The block that holds this address alone. */
export function hostCidr(address: IpAddress): Cidr {
  return { address, prefixLength: addressWidth(familyOf(address)) };
}

/** `-d BLOCK` */
export function destination(cidr: Cidr): Match {
  return { kind: "destination", negated: false, cidr };
}

/** `-s BLOCK` */
export function source(cidr: Cidr): Match {
  return { kind: "source", negated: false, cidr };
}

/** `-m conntrack --ctstate NEW`: the first packet of a connection. */
export const NEW_CONNECTION: Match = { kind: "conntrack", states: { negated: false, states: ["NEW"] } };

/** `-m addrtype --dst-type LOCAL`: to an address of this host. */
export const TO_THIS_HOST: Match = { kind: "addrtype", destination: { negated: false, types: ["LOCAL"] } };

/** `-m addrtype --src-type LOCAL`: from an address of this host. */
export const FROM_THIS_HOST: Match = { kind: "addrtype", source: { negated: false, types: ["LOCAL"] } };

/** `-m mark --mark VALUE/MASK` */
export function markMatch({ value, mask }: { value: number; mask: number }): Match {
  return { kind: "mark", negated: false, value, mask };
}

/** `-m comment --comment TEXT`; iptables keeps 255 bytes of it, and shows them to whoever lists the rules. */
export function comment(text: string): Match {
  return { kind: "comment", text: visible(text) };
}

/** `-m recent --name LIST --set`: notes the client's address as seen now. */
export function remember(list: string): Match {
  return { kind: "recent", negated: false, action: "set", name: list, side: "source" };
}

/** `-m recent --name LIST --rcheck --seconds T --reap`: was the client noted within the last T seconds? */
export function isRemembered(list: string, seconds: number): Match {
  return { kind: "recent", negated: false, action: "rcheck", name: list, seconds, reap: true, side: "source" };
}
