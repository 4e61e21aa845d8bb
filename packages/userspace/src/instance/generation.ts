import type { VipPort } from "../vip/isolation.ts";

/** What a proxy that was taken over still does. */
export interface GenerationFacts {
  /** ISO 8601. */
  readonly takenOverAt: string;
  readonly connections: number;
  readonly udpSessions: number;
  /** Whether it is to end within its drain timeout, and not only with its last connection. */
  readonly isDraining: boolean;
  /** What its connections need of this host. */
  readonly inUse: readonly VipPort[];
}

/** A proxy that was taken over, and goes on for the connections that it has. */
export interface Generation extends GenerationFacts {
  readonly pid: number;
}

export interface Generations {
  /** The oldest first. */
  readonly known: readonly Generation[];
  /** Pids of those that are there and did not say. */
  readonly silent: readonly number[];
}

export interface GenerationService {
  facts(): Promise<GenerationFacts>;
  /** Connections that are left after so long are reset. */
  drain(timeoutMs: number): void;
}

export interface DrainOrder {
  readonly pid: number;
  readonly timeoutMs: number;
}
