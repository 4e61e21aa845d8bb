/** Connections that a client of the lab makes. */
export interface Ask {
  readonly protocol: "tcp" | "udp";
  readonly address: string;
  readonly port: number;
  readonly times: number;
  /** How many at a time. */
  readonly parallel: number;
  readonly timeoutMs: number;
  /** Leaves TCP connections open after their answer, for `poke`. */
  readonly keep?: true;
}

/** What a probe reads from its stdin, one JSON text a line. */
export type ProbeRequest =
  | { readonly id: number; readonly kind: "ask"; readonly ask: Ask }
  /** Sends a word over every connection that was kept, and expects it back. */
  | { readonly id: number; readonly kind: "poke"; readonly timeoutMs: number };

/** What it answers to each. */
export interface ProbeAnswer {
  readonly id: number;
  readonly outcomes: readonly AskOutcome[];
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
  | {
      readonly kind: "failed";
      readonly code: string;
      readonly ms: number;
      /** The pod that had answered, for a connection that was kept. */
      readonly by?: string;
    };
