import type { Cidr, IpAddress } from "@svcproxy/topology";
import type { NumberRange, Words } from "./match.ts";

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
  | { readonly kind: "ct"; readonly notrack: boolean; readonly zone?: ZoneChoice; readonly words: Words }
  | { readonly kind: "checksum"; readonly words: Words }
  | {
      readonly kind: "tproxy";
      readonly address?: IpAddress;
      readonly port: number;
      readonly value: number;
      readonly mask: number;
    }
  | { readonly kind: "trace" }
  /** Maps an address into a block of the same size: the block's bits instead of its own, the rest as it was. */
  | { readonly kind: "netmap"; readonly to: Cidr }
  /** `-j SET` with its options word for word; `names` are the sets that it changes. */
  | {
      readonly kind: "set";
      readonly names: readonly string[];
      /** Whether the packet takes over the mark that a set gives it. */
      readonly mapsMark: boolean;
      readonly words: Words;
    }
  /** tos = (tos & ~mask) ^ value. */
  | { readonly kind: "tos"; readonly value: number; readonly mask: number }
  /** The upper six bits of the same byte. */
  | { readonly kind: "dscp"; readonly value: number }
  /** `-j TTL`, and `-j HL` of IPv6. */
  | { readonly kind: "ttl"; readonly change: "set" | "inc" | "dec"; readonly value: number }
  /** Every other extension, word for word. */
  | { readonly kind: "unknown"; readonly name: string; readonly words: Words };

/** In which of conntrack's zones a packet's connection is looked for: the one that `mark` names is the packet's mark. */
export interface ZoneChoice {
  readonly zone: number | "mark";
  /** The directions for which the zone counts; the other is in zone 0. */
  readonly direction: "both" | "original" | "reply";
}
