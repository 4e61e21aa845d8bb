import type { HostState } from "@svcproxy/rules";
import type { Cidr, IpAddress } from "@svcproxy/topology";
import type { ConntrackEntry } from "../conntrack/conntrack.ts";
import type { RuleTexts } from "../live-rules/read-rule-texts.ts";
import type { PortHolder } from "../machine/listeners.ts";
import type { PodNamespace } from "../machine/pod-namespaces.ts";
import type { RunningProcess } from "../machine/processes.ts";
import type { UnreadPart } from "./read-part.ts";

/** A host at one moment, as `svcproxy host-state --snapshot` wrote it. A part that is in `unread` is empty. */
export interface HostSnapshot {
  /** ISO 8601. */
  readonly takenAt: string;
  readonly hostname: string;
  /** What could not be read, and why. */
  readonly unread: readonly UnreadPart[];
  readonly hostState: HostState;
  /** Undefined where they could not be read; then `unread` has why under `rules`. `givenRules` makes values of them. */
  readonly rules: RuleTexts | undefined;
  /** What `nft -j list ruleset` printed. */
  readonly nftJson: unknown;
  readonly links: readonly LinkReading[];
  /** What devices do with what they are to send or have received. */
  readonly queues: readonly QueueReading[];
  readonly neighbours: readonly Neighbour[];
  readonly forwarding: readonly ForwardingEntry[];
  readonly sockets: readonly ListeningSocket[];
  readonly processes: readonly RunningProcess[];
  /** The other network namespaces of the machine: what listens in its pods. */
  readonly pods: readonly PodNamespace[];
  readonly conntrack: ConntrackSummary;
  /** What the kernel counts, by the names that `nstat` has: `IpInAddrErrors`, `TcpExtIPReversePathFilter`, `Ip6InNoRoutes`. */
  readonly counters: Readonly<Record<string, number>>;
  /** Accounting objects of `-m nfacct`. */
  readonly accounting: readonly AccountingObject[];
  /** Virtual services that IPVS serves, a line each; empty where it is not in use. */
  readonly ipvsServices: readonly string[];
  readonly blockingPolicies: readonly BlockingPolicy[];
  readonly versions: ToolVersions;
  /** The UDP flows that conntrack keeps, read when asked for: there may be a hundred thousand. */
  readUdpFlows(): readonly ConntrackEntry[];
}

/** A device with what it counted. */
export interface LinkReading {
  readonly name: string;
  readonly mtu: number;
  /** `UP`, `DOWN`, `UNKNOWN`, `LOWERLAYERDOWN`. */
  readonly state: string;
  /** Of the administrator: `ip link set up`. */
  readonly isUp: boolean;
  readonly hasCarrier: boolean;
  /** Whether neighbours behind it are asked for by ARP. */
  readonly usesArp: boolean;
  /** Its MAC address. */
  readonly address?: string;
  readonly kind?: string;
  readonly master?: string;
  /** The number of the namespace that its other end is in (`link-netnsid`). */
  readonly peerId?: number;
  /** Of a bridge's port. */
  readonly hairpin?: boolean;
  /** Of a bridge's port: `forwarding`, or `blocking`, `listening`, `learning`, `disabled`, in which it passes nothing on. */
  readonly portState?: string;
  /** Of a bridge's port: it passes nothing on to others that are isolated too. */
  readonly isIsolated?: boolean;
  readonly vxlan?: VxlanReading;
  readonly received: LinkCounts;
  readonly sent: LinkCounts;
}

/** Both ends of an overlay need the same network and the same port. */
export interface VxlanReading {
  /** Its number, the VNI. */
  readonly id: number;
  /** Of UDP. */
  readonly port: number;
  /** The address that its packets leave from; absent: as the route says. */
  readonly local?: IpAddress;
}

/** An IPsec policy that lets nothing pass: `ip xfrm policy … action block`. */
export interface BlockingPolicy {
  readonly source: Cidr;
  readonly destination: Cidr;
  /** `in`, `out`, `fwd`. */
  readonly direction: string;
  /** What else it asks for, as `ip xfrm` prints it: `proto udp dport 8472`. */
  readonly upper?: string;
}

/** A queueing discipline of a device, as `tc -s qdisc` has it. */
export interface QueueReading {
  readonly device: string;
  /** `fq_codel`, `tbf`, `netem`, `ingress`, … */
  readonly kind: string;
  /** Packets that it dropped so far. */
  readonly dropped: number;
}

/** `packets`, `bytes`, `errors`, `dropped`, `otherhost`, `carrier_errors`, … as `ip -s -s -j link` has them. */
export type LinkCounts = Readonly<Record<string, number>>;

export interface Neighbour {
  readonly address: IpAddress;
  readonly interface: string;
  readonly mac?: string;
  /** `REACHABLE`, `STALE`, `FAILED`, `PERMANENT`, … */
  readonly states: readonly string[];
}

/** An entry of a bridge's or a VXLAN device's forwarding table. */
export interface ForwardingEntry {
  readonly mac: string;
  readonly interface: string;
  /** The other end of the tunnel. */
  readonly destination?: IpAddress;
  readonly state?: string;
}

export interface ListeningSocket {
  readonly protocol: "tcp" | "udp";
  /** Undefined: every address of both families. */
  readonly address?: IpAddress;
  /** Where it is bound to one. */
  readonly interface?: string;
  readonly port: number;
  /** Of TCP: how many connections wait to be accepted, and how many may. */
  readonly waiting: number;
  readonly backlog: number;
  readonly holders: readonly PortHolder[];
}

export interface ConntrackSummary {
  readonly count?: number;
  readonly max?: number;
  /** Of all CPUs together: `drop`, `early_drop`, `insert_failed`, … */
  readonly statistics: Readonly<Record<string, number>>;
}

export interface AccountingObject {
  readonly name: string;
  readonly packets: number;
  readonly bytes: number;
}

/** As they say it themselves. `kernel`: `6.18.0-1`; by tool: `nft` → `nftables v1.0.6 (Lester Gooch #5)`. */
export type ToolVersions = Readonly<Record<string, string>>;
