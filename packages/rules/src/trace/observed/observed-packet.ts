/** What of a packet's headers the kernel showed at one place. */
export interface ObservedHeader {
  readonly inInterface?: string;
  readonly outInterface?: string;
  readonly source: string;
  readonly destination: string;
  /** Undefined for protocols without ports. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** One thing that the kernel told of a packet; tables as `ip nat`, `inet filter`. */
export type ObservedStep =
  /** It came to a base chain. */
  | { readonly kind: "chain"; readonly table: string; readonly chain: string; readonly header: ObservedHeader }
  /** A rule matched it. */
  | {
      readonly kind: "rule";
      readonly table: string;
      readonly chain: string;
      /** 1-based; undefined where nobody could say which of the chain's rules it was. */
      readonly number: number | undefined;
      /** As nft prints it; empty where it was not known to nft. */
      readonly text: string;
      /** As nft prints it: `accept`, `drop`, `continue`, `jump KUBE-SERVICES`. */
      readonly verdict: string;
    }
  /** It came to the end of a base chain. */
  | { readonly kind: "policy"; readonly table: string; readonly chain: string; readonly verdict: "accept" | "drop" }
  /** It had been through all chains, and left this host or was given to it. */
  | { readonly kind: "left" | "arrived"; readonly header: ObservedHeader };

/** The way of one packet through the kernel, as it told it. */
export interface ObservedPacket {
  /** As it came in. */
  readonly header: ObservedHeader;
  readonly steps: readonly ObservedStep[];
}
