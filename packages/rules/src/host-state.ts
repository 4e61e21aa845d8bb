import type { Cidr, IpAddress } from "@svcproxy/topology";

/** What a packet's way through a host depends on besides rules. `svcproxy host-state` prints it; a topology implies one. */
export interface HostState {
  readonly interfaces: readonly NetworkInterface[];
  readonly routes: readonly Route[];
  readonly policyRules: readonly PolicyRule[];
  /** Chosen sysctls by their dotted name, `net.ipv4.ip_forward` → `1`. */
  readonly sysctls: Readonly<Record<string, string>>;
}

export interface NetworkInterface {
  readonly name: string;
  /** Name of the bridge whose port it is. */
  readonly master?: string;
  readonly isLoopback: boolean;
  /** The kind that `ip -d link` names: `bridge`, `veth`, `vxlan`, …; absent where there is none or it is not known. */
  readonly linkKind?: string;
  readonly addresses: readonly InterfaceAddress[];
}

export interface InterfaceAddress {
  readonly address: IpAddress;
  readonly prefixLength: number;
}

export interface Route {
  /** `0/0` or `::/0` for the default route. */
  readonly destination: Cidr;
  readonly type: "unicast" | "local" | "broadcast" | "multicast" | "blackhole" | "unreachable" | "prohibit" | "throw";
  readonly interface?: string;
  readonly gateway?: IpAddress;
  /** `prefsrc`. */
  readonly preferredSource?: IpAddress;
  readonly metric: number;
  /** `main`, `local`, `default` or a number as text. */
  readonly table: string;
}

export interface PolicyRule {
  readonly priority: number;
  readonly from?: Cidr;
  readonly to?: Cidr;
  readonly mark?: { readonly value: number; readonly mask: number };
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly table: string;
  /** Set where the rule has something that we do not know. */
  readonly unknown?: string;
}
