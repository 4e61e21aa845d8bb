import type { Cidr, Family, IpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import type { IpSet } from "./ip-set.ts";

/** What a packet's way through a host depends on besides rules. `svcproxy host-state` prints it; a topology implies one. */
export interface HostState {
  readonly interfaces: readonly NetworkInterface[];
  readonly routes: readonly Route[];
  readonly policyRules: readonly PolicyRule[];
  /** Chosen sysctls by their dotted name, `net.ipv4.ip_forward` → `1`. */
  readonly sysctls: Readonly<Record<string, string>>;
  /** The members of ipsets by name; a set that is not listed is not known. */
  readonly ipSets?: Readonly<Record<string, IpSet>>;
  /**
   * The addresses on each list of the `recent` match. Undefined: not known. A list that is not named here is empty,
   * as all are on a host whose rules were just loaded.
   */
  readonly recentLists?: Readonly<Record<string, readonly IpAddress[]>>;
  /** Whether the kernel has IPsec policies. Undefined: not known. */
  readonly usesIpsec?: boolean;
  /** Accounting objects (`nfacct`) that have a quota. */
  readonly quotas?: readonly string[];
}

export interface NetworkInterface {
  readonly name: string;
  /** Name of the bridge whose port it is. */
  readonly master?: string;
  readonly isLoopback: boolean;
  /** The kind that `ip -d link` names: `bridge`, `veth`, `vxlan`, …; absent where there is none or it is not known. */
  readonly linkKind?: string;
  /** Whether a bridge port sends a frame back where it came from (`hairpin on`). */
  readonly hairpinMode?: boolean;
  /** `ip link set group`: its number, or a name that only the host knows. Absent: 0, the group of all that are in none. */
  readonly group?: number | string;
  /** In the kernel's order. */
  readonly addresses: readonly InterfaceAddress[];
}

export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
  /** Absent: `global`. */
  readonly scope?: "global" | "site" | "link" | "host";
  /** A further address of a subnet: never chosen as a source by itself. */
  readonly isSecondary?: boolean;
  /** IPv6: `tentative`, still looked for on the link or found there twice: nobody's source, and not yet received. */
  readonly isTentative?: boolean;
  /** IPv6: `deprecated` or `optimistic`, a source only where there is no better. */
  readonly isDeprecated?: boolean;
  /** IPv6: `temporary`, a private address beside the host's public one. */
  readonly isTemporary?: boolean;
}

export interface Route {
  /** `0/0` or `::/0` for the default route. */
  readonly destination: Cidr;
  readonly type:
    | "unicast"
    | "local"
    | "broadcast"
    | "multicast"
    | "anycast"
    | "blackhole"
    | "unreachable"
    | "prohibit"
    | "throw";
  readonly interface?: string;
  readonly gateway?: IpAddress;
  /** `prefsrc`. */
  readonly preferredSource?: IpAddress;
  readonly metric: number;
  /** `main`, `local`, `default` or a number as text. */
  readonly table: string;
  /** Set where the route has something that we do not know, for instance several next hops. */
  readonly unknown?: string;
}

/** One line of `ip rule`: which packets it is for, and what becomes of them. */
export interface PolicyRule {
  readonly family: Family;
  readonly priority: number;
  /** `not`: for all packets but those that the rest is for. */
  readonly not?: true;
  readonly from?: Cidr;
  readonly to?: Cidr;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly inInterface?: string;
  readonly outInterface?: string;
  /** `tos`, `dsfield` or `dscp`: holds when `(tos & mask) == value`, of the byte of the type of service. */
  readonly tos?: { readonly value: number; readonly mask: number };
  readonly protocol?: string;
  readonly sourcePorts?: NumberRange;
  readonly destinationPorts?: NumberRange;
  /** What else it asks that we do not know: it may be for any packet, or for none. */
  readonly unknown?: string;
  readonly action: PolicyAction;
}

export type PolicyAction =
  | {
      readonly kind: "table";
      readonly table: string;
      /** `suppress_prefixlength`: a route with a prefix of at most so many bits is passed over. */
      readonly suppressPrefixLength?: number;
      /** What else may pass a route over, and is not known. */
      readonly suppressUnknown?: string;
    }
  /** On with the first rule of this priority; where there is none, with the next. */
  | { readonly kind: "goto"; readonly priority: number }
  | { readonly kind: "unreachable" | "prohibit" | "blackhole" }
  /** On with the next rule. */
  | { readonly kind: "nop" };
