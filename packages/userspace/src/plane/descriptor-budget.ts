import { readdirSync, readFileSync } from "node:fs";

/**
 * Descriptors kept free: for connections of those who ask for metrics (16) and health (32) and over the control socket (8), the most that
 * the servers there take, and for logs, files, tools, and sockets that are accepted only to be refused (40).
 */
const RESERVED_DESCRIPTORS = 16 + 32 + 8 + 40;
/** Where the system does not say. */
const FALLBACK_LIMIT = 1_024;

/** What descriptors are taken for. */
export type CarriedProtocol = "tcp" | "udp";

/**
 * Descriptors of this process. Node accepts and closes without an event once they run out, so they are counted beforehand,
 * and what does not fit is refused. Where both protocols are served, neither may take the last quarter from the other.
 */
export class DescriptorBudget {
  /** Soft RLIMIT_NOFILE. */
  readonly limit: number;
  readonly #usable: number;
  readonly #carried: Record<CarriedProtocol, number> = { tcp: 0, udp: 0 };
  readonly #listeners: Record<CarriedProtocol, number> = { tcp: 0, udp: 0 };
  #others = 0;

  constructor({ limit, used }: { limit: number; used: number } = readDescriptorLimit()) {
    this.limit = limit;
    this.#usable = Math.max(0, limit - used - Math.min(RESERVED_DESCRIPTORS, Math.floor(limit / 4)));
  }

  /** Those that this protocol can still take. */
  freeFor(protocol: CarriedProtocol): number {
    const { tcp, udp } = this.#carried;
    const room = Math.max(0, this.#usable - this.#others - this.#listeners.tcp - this.#listeners.udp);
    const isShared = this.#listeners[protocol === "tcp" ? "udp" : "tcp"] > 0;
    const share = isShared ? Math.floor((room * 3) / 4) : room;
    return Math.min(room - tcp - udp, share - this.#carried[protocol]);
  }

  take(protocol: CarriedProtocol, count: number): boolean {
    if (count > this.freeFor(protocol)) return false;
    this.#carried[protocol] += count;
    return true;
  }

  /** For sockets that are there whether they fit or not. */
  force(protocol: CarriedProtocol, count: number): void {
    this.#carried[protocol] += count;
  }

  give(protocol: CarriedProtocol, count: number): void {
    this.#carried[protocol] -= count;
  }

  listens(protocol: CarriedProtocol): void {
    this.#listeners[protocol]++;
  }

  unlistens(protocol: CarriedProtocol): void {
    this.#listeners[protocol]--;
  }

  /** What else this process holds now, or less than none where it was counted as used already. */
  setOthers(count: number): void {
    this.#others = count;
  }
}

/** The soft limit of this process (Node raises it to the hard one at its start), and the descriptors in use. */
export function readDescriptorLimit(): { limit: number; used: number } {
  try {
    const line = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync("/proc/self/limits", "utf8"));
    const limit = line?.[1] === "unlimited" ? Number.MAX_SAFE_INTEGER : Number(line?.[1] ?? FALLBACK_LIMIT);
    return { limit, used: readdirSync("/proc/self/fd").length };
  } catch {
    return { limit: FALLBACK_LIMIT, used: 32 }; // no /proc
  }
}
