import type { Cidr, IpAddress } from "@svcproxy/topology";

/** An inclusive range of ports or other small numbers; one value where both are equal. */
export interface NumberRange {
  readonly from: number;
  readonly to: number;
}

/** A range as one option carries it, possibly behind `!`. */
export interface NegatableRange extends NumberRange {
  readonly negated: boolean;
}

/** What follows a word that we do not know, word for word, unquoted. */
export type Words = readonly string[];

/** Addresses of one end of a packet. */
export interface NetworkMatch {
  readonly negated: boolean;
  readonly cidr: Cidr;
  /** Whether people write the length where it is all bits, too (`1.2.3.4/32`): it is a block to them. Means nothing else. */
  readonly isBlock?: true;
}

/**
 * The test of a rule. `negated` belongs to the option itself (`! -s`). A match module that was named without options
 * (`-m tcp`) is that module's kind with no field set.
 */
export type Match =
  | ({ readonly kind: "source" } & NetworkMatch)
  | ({ readonly kind: "destination" } & NetworkMatch)
  /** An interface name; a final `+` stands for any rest. */
  | { readonly kind: "inInterface"; readonly negated: boolean; readonly name: string }
  | { readonly kind: "outInterface"; readonly negated: boolean; readonly name: string }
  /** Lower-case name as iptables prints it (`tcp`, `udp`, `sctp`, `icmp`, `ipv6-icmp`, `esp`, …) or a decimal number; never `all`. */
  | { readonly kind: "protocol"; readonly negated: boolean; readonly protocol: string }
  | { readonly kind: "fragment"; readonly negated: boolean }
  | {
      readonly kind: "tcp";
      readonly sourcePorts?: NegatableRange;
      readonly destinationPorts?: NegatableRange;
      /** `--tcp-flags MASK SET`, and `--syn`; names in upper case. */
      readonly flags?: { readonly negated: boolean; readonly mask: readonly string[]; readonly set: readonly string[] };
      readonly option?: { readonly negated: boolean; readonly number: number };
    }
  | { readonly kind: "udp"; readonly sourcePorts?: NegatableRange; readonly destinationPorts?: NegatableRange }
  | {
      readonly kind: "sctp";
      readonly sourcePorts?: NegatableRange;
      readonly destinationPorts?: NegatableRange;
      /** `--chunk-types`, kept as written. */
      readonly chunkTypes?: { readonly negated: boolean; readonly words: Words };
    }
  /** `icmp` and `icmp6`; undefined `code` is any. */
  | {
      readonly kind: "icmp";
      readonly negated: boolean;
      readonly type: number | "any";
      readonly code?: NumberRange;
    }
  | {
      readonly kind: "multiport";
      readonly negated: boolean;
      readonly direction: "source" | "destination" | "either";
      readonly ports: readonly NumberRange[];
    }
  | {
      readonly kind: "addrtype";
      /** Upper-case names (`LOCAL`, `UNICAST`, `BROADCAST`, …). */
      readonly source?: { readonly negated: boolean; readonly types: readonly string[] };
      readonly destination?: { readonly negated: boolean; readonly types: readonly string[] };
      readonly limitInterface?: "in" | "out";
    }
  /** Holds when `(mark & mask) == value`. */
  | { readonly kind: "mark"; readonly negated: boolean; readonly value: number; readonly mask: number }
  | { readonly kind: "connmark"; readonly negated: boolean; readonly value: number; readonly mask: number }
  | {
      readonly kind: "conntrack";
      /** Upper-case: INVALID, NEW, ESTABLISHED, RELATED, UNTRACKED, SNAT, DNAT. */
      readonly states?: { readonly negated: boolean; readonly states: readonly string[] };
      readonly originalSource?: { readonly negated: boolean; readonly cidr: Cidr };
      readonly originalDestination?: { readonly negated: boolean; readonly cidr: Cidr };
      readonly replySource?: { readonly negated: boolean; readonly cidr: Cidr };
      readonly replyDestination?: { readonly negated: boolean; readonly cidr: Cidr };
      readonly originalSourcePorts?: NegatableRange;
      readonly originalDestinationPorts?: NegatableRange;
      readonly replySourcePorts?: NegatableRange;
      readonly replyDestinationPorts?: NegatableRange;
      readonly protocol?: { readonly negated: boolean; readonly protocol: string };
      /** NONE, EXPECTED, SEEN_REPLY, ASSURED, CONFIRMED. */
      readonly status?: { readonly negated: boolean; readonly statuses: readonly string[] };
      readonly expire?: NegatableRange;
      readonly direction?: "ORIGINAL" | "REPLY";
    }
  /** `-m state`: the older spelling of `conntrack --ctstate`. */
  | { readonly kind: "state"; readonly negated: boolean; readonly states: readonly string[] }
  /** `threshold` of 2^31: the kernel keeps a `--probability` in 31 bits. `text` is the decimal as written, where there was one. */
  | {
      readonly kind: "statistic";
      readonly mode: "random";
      readonly negated: boolean;
      readonly threshold: number;
      readonly text?: string;
    }
  | {
      readonly kind: "statistic";
      readonly mode: "nth";
      readonly negated: boolean;
      readonly every: number;
      readonly packet: number;
    }
  | {
      readonly kind: "recent";
      readonly negated: boolean;
      readonly action: "set" | "rcheck" | "update" | "remove";
      readonly name: string;
      readonly seconds?: number;
      readonly hitCount?: number;
      readonly reap?: boolean;
      readonly rttl?: boolean;
      readonly side: "source" | "destination";
      /** As written; absent: the whole address. */
      readonly mask?: IpAddress;
    }
  | { readonly kind: "comment"; readonly text: string }
  | {
      readonly kind: "set";
      readonly negated: boolean;
      readonly name: string;
      readonly directions: readonly ("src" | "dst")[];
      /** Further options (`--return-nomatch`, counters), word for word. */
      readonly rest: Words;
    }
  | {
      readonly kind: "physdev";
      readonly inInterface?: { readonly negated: boolean; readonly name: string };
      readonly outInterface?: { readonly negated: boolean; readonly name: string };
      readonly isIn?: { readonly negated: boolean };
      readonly isOut?: { readonly negated: boolean };
      readonly isBridged?: { readonly negated: boolean };
    }
  /** `rate` as iptables prints it (`10/min`). */
  | { readonly kind: "limit"; readonly rate: string; readonly burst: number }
  | {
      readonly kind: "owner";
      /** As written: a number, a range or a name. */
      readonly user?: { readonly negated: boolean; readonly text: string };
      readonly group?: { readonly negated: boolean; readonly text: string };
      readonly socketExists?: { readonly negated: boolean };
      readonly supplementaryGroups?: boolean;
    }
  | {
      readonly kind: "iprange";
      readonly source?: { readonly negated: boolean; readonly from: IpAddress; readonly to: IpAddress };
      readonly destination?: { readonly negated: boolean; readonly from: IpAddress; readonly to: IpAddress };
    }
  | {
      readonly kind: "socket";
      readonly transparent: boolean;
      readonly nowildcard: boolean;
      readonly restoreMark: boolean;
    }
  | {
      readonly kind: "rpfilter";
      readonly loose: boolean;
      readonly validmark: boolean;
      readonly acceptLocal: boolean;
      readonly invert: boolean;
    }
  /** Lower-case, colons. */
  | { readonly kind: "mac"; readonly negated: boolean; readonly address: string }
  | { readonly kind: "length"; readonly negated: boolean; readonly from: number; readonly to: number }
  | {
      readonly kind: "ttl";
      readonly comparison: "eq" | "ne" | "lt" | "gt";
      readonly value: number;
    }
  /** What kind of frame brought it. */
  | { readonly kind: "pkttype"; readonly negated: boolean; readonly type: "unicast" | "broadcast" | "multicast" }
  /** The conntrack helper of the connection that announced this one; `any` and the empty name are any. */
  | { readonly kind: "helper"; readonly negated: boolean; readonly name: string }
  /** The groups of the interfaces by which it came and leaves. */
  | { readonly kind: "devgroup"; readonly source?: DeviceGroup; readonly destination?: DeviceGroup }
  /** How much the connection has carried, this packet included. */
  | {
      readonly kind: "connbytes";
      readonly negated: boolean;
      readonly from: number;
      /** Absent: no end. */
      readonly to?: number;
      readonly unit: "packets" | "bytes" | "avgpkt";
      readonly direction: "original" | "reply" | "both";
    }
  /** Whether IPsec has to do with it; the options behind `--pol` word for word. */
  | {
      readonly kind: "policy";
      readonly direction: "in" | "out";
      readonly policy: "none" | "ipsec";
      readonly words: Words;
    }
  /** Counts, and holds where the accounting object has no quota. */
  | { readonly kind: "nfacct"; readonly name: string }
  /** `label` is a number or a name, as written. With `set` it gives the connection the label, and holds where that went well. */
  | { readonly kind: "connlabel"; readonly negated: boolean; readonly label: string; readonly set: boolean }
  /** Holds when `(tos & mask) == value`: the whole byte of the header, its two ECN bits included. */
  | { readonly kind: "tos"; readonly negated: boolean; readonly value: number; readonly mask: number }
  /** The upper six bits of the same byte. */
  | { readonly kind: "dscp"; readonly negated: boolean; readonly value: number }
  /** A module of another name, or a known one with something in it that we do not know. `module` is undefined for a bare header option. */
  | { readonly kind: "unknown"; readonly module: string | undefined; readonly words: Words };

/** A group of interfaces: `(group & mask) == value`. */
export interface DeviceGroup {
  readonly negated: boolean;
  /** As written: a number, a name, or either with a mask. */
  readonly text: string;
  /** Undefined for a name that only its host knows. */
  readonly value: number | undefined;
  readonly mask: number;
}
