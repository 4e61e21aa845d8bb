/** Connections that a client of the lab makes. */
export interface Ask {
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly times: number;
  /** How many at a time. */
  readonly parallel: number;
  readonly timeoutMs: number;
}

/** What became of one connection (for UDP: one datagram from a port of its own), and after how many milliseconds. */
export type AskOutcome =
  | {
      readonly kind: "answered";
      /** The pod that answered. */
      readonly by: string;
      /** The client's address as that pod saw it. */
      readonly seen: string;
      readonly ms: number;
    }
  | { readonly kind: "refused"; readonly ms: number }
  | { readonly kind: "timeout"; readonly ms: number }
  | { readonly kind: "failed"; readonly code: string; readonly ms: number };
