import { readdirSync, readFileSync } from "node:fs";

/** Descriptors kept free for logs, files, metrics clients, and sockets that are accepted only to be refused. */
const RESERVED_DESCRIPTORS = 48;
/** Where the system does not say. */
const FALLBACK_LIMIT = 1_024;

/**
 * Descriptors of this process. Node accepts and closes without an event once they run out, so they are counted beforehand,
 * and what does not fit is refused.
 */
export class DescriptorBudget {
  /** Soft RLIMIT_NOFILE. */
  readonly limit: number;
  readonly #usable: number;
  #taken = 0;

  constructor({ limit, used }: { limit: number; used: number } = readDescriptorLimit()) {
    this.limit = limit;
    this.#usable = Math.max(0, limit - used - Math.min(RESERVED_DESCRIPTORS, Math.floor(limit / 4)));
  }

  /** Those that can still be taken. */
  get free(): number {
    return this.#usable - this.#taken;
  }

  take(count: number): boolean {
    if (this.#taken + count > this.#usable) return false;
    this.#taken += count;
    return true;
  }

  /** For sockets that are there whether they fit or not, as listeners are. */
  force(count: number): void {
    this.#taken += count;
  }

  give(count: number): void {
    this.#taken -= count;
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
