import type { Family } from "@svcproxy/topology";

/** How the nftables data path carries plans out. */
export interface NftablesSettings {
  /** The families to look at and to change; default both. One without frontends keeps no table of ours. */
  readonly families?: readonly Family[] | undefined;
  /** Whether packets and bytes of each service are counted; default no. */
  readonly countsTraffic?: boolean | undefined;
  /**
   * Whether our tables answer only as long as a session renews their lease, so that they end by themselves some time after whoever kept them.
   * `as-found`: where they do. Default no.
   */
  readonly isLeased?: boolean | "as-found" | undefined;
  /** Whether our rules of iptables go as soon as the tables serve, so that nobody has to be told of them; default no. */
  readonly replacesIptables?: boolean | undefined;
  /** NodePorts that are served although a program of this host listens on them; default none. */
  readonly takePorts?: ReadonlySet<number> | undefined;
}

/** What is told of while it happens. */
export interface NftablesEvents {
  /** Another svcproxy, of this pid as far as it is known, changes our tables, and is waited for. */
  readonly onWait?: (holder: number | undefined) => void;
}

export const FAMILIES: readonly Family[] = [4, 6];
