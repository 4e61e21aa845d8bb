import type { Cidr, Family, IpAddress } from "@svcproxy/topology";

/** The rules of one family as values. Chain and rule order is the kernel's. */
export interface RuleSet {
  readonly family: Family;
  readonly tables: readonly Table[];
}

export interface Table {
  /** `raw`, `mangle`, `nat`, `filter`, `security`; kept as read. */
  readonly name: string;
  readonly chains: readonly Chain[];
}

export interface Chain {
  readonly name: string;
  /** Set for built-in chains only: what happens at their end. */
  readonly policy?: "ACCEPT" | "DROP";
  readonly counters?: Counters;
  readonly rules: readonly Rule[];
}

export interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
}

export interface Rule {
  /** In the order written; all must hold. */
  readonly matches: readonly Match[];
  readonly target: Target;
  readonly counters?: Counters;
}

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
  /** A module of another name, or a known one with something in it that we do not know. `module` is undefined for a bare header option. */
  | { readonly kind: "unknown"; readonly module: string | undefined; readonly words: Words };

/** `address[-address][:port[-port]]` of the NAT targets. */
export interface NatRange {
  readonly addresses?: { readonly from: IpAddress; readonly to: IpAddress };
  readonly ports?: NumberRange;
  readonly random: boolean;
  readonly randomFully: boolean;
  readonly persistent: boolean;
}

/** What `-j` or `-g` names. */
export type Target =
  /** A rule without `-j` only counts. */
  | { readonly kind: "none" }
  | { readonly kind: "accept" }
  | { readonly kind: "drop" }
  | { readonly kind: "return" }
  /** `-j CHAIN`: comes back. */
  | { readonly kind: "jump"; readonly chain: string }
  /** `-g CHAIN`: comes back to the caller of this chain. */
  | { readonly kind: "goto"; readonly chain: string }
  | { readonly kind: "dnat"; readonly to: NatRange }
  | { readonly kind: "snat"; readonly to: NatRange }
  | {
      readonly kind: "masquerade";
      readonly ports?: NumberRange;
      readonly random: boolean;
      readonly randomFully: boolean;
    }
  | { readonly kind: "redirect"; readonly ports?: NumberRange; readonly random: boolean }
  /** `--set-xmark value/mask`: mark = (mark & ~mask) ^ value, all unsigned 32 bit. */
  | { readonly kind: "mark"; readonly value: number; readonly mask: number }
  | { readonly kind: "connmark"; readonly action: "set"; readonly value: number; readonly mask: number }
  | {
      readonly kind: "connmark";
      readonly action: "save" | "restore";
      /** nfmask and ctmask. */
      readonly packetMask: number;
      readonly connectionMask: number;
    }
  /** `--reject-with` as iptables prints it (`icmp-port-unreachable`, `tcp-reset`, `icmp6-port-unreachable`, …). */
  | { readonly kind: "reject"; readonly with: string }
  | { readonly kind: "log"; readonly words: Words }
  | { readonly kind: "nflog"; readonly words: Words }
  | { readonly kind: "tcpmss"; readonly words: Words }
  /** `-j CT` with all its options, `--notrack` included; `notrack` without words is `-j NOTRACK`. */
  | { readonly kind: "ct"; readonly notrack: boolean; readonly words: Words }
  | { readonly kind: "checksum"; readonly words: Words }
  | {
      readonly kind: "tproxy";
      readonly address?: IpAddress;
      readonly port: number;
      readonly value: number;
      readonly mask: number;
    }
  | { readonly kind: "trace" }
  /** `-j SET` and every other extension, word for word. */
  | { readonly kind: "unknown"; readonly name: string; readonly words: Words };

/** netfilter's hooks by the name of their built-in chains. */
export type Hook = "PREROUTING" | "INPUT" | "FORWARD" | "OUTPUT" | "POSTROUTING";

/** Built-in chains by table, in the order in which iptables-save lists them. */
export const BUILT_IN_CHAINS: Readonly<Record<string, readonly string[]>> = {
  raw: ["PREROUTING", "OUTPUT"],
  mangle: ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  security: ["INPUT", "FORWARD", "OUTPUT"],
};

/** `XT_EXTENSION_MAXNAMELEN` less one: iptables refuses longer chain names. */
export const CHAIN_NAME_MAX_LENGTH = 28;

/** Where a rule stands. */
export interface RulePosition {
  readonly table: string;
  readonly chain: string;
  /** 1-based, as `iptables -L --line-numbers` counts. */
  readonly number: number;
}

/** A rule and where it stands. */
export interface PlacedRule extends RulePosition {
  readonly rule: Rule;
}
