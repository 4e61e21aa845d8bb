import type { Listener } from "./listeners.ts";
import type { Machine } from "./machine.ts";

/** Who listens is read at most so often for the same ports. */
const RECENT_MS = 2_000;

/**
 * The listeners of a machine as they were a moment ago, for whoever carries out one plan after the other: with thousands of sockets the kernel takes
 * milliseconds to tell them.
 */
export class RecentListeners {
  #readAtMs = Number.NEGATIVE_INFINITY;
  #ports: ReadonlySet<number> = new Set();
  #listeners: readonly Listener[] = [];

  /** @param ports of interest: where one of them is new, all are read */
  async read(machine: Pick<Machine, "readListeners">, ports: ReadonlySet<number>): Promise<readonly Listener[]> {
    const nowMs = performance.now();
    if (nowMs - this.#readAtMs >= RECENT_MS || !this.#covers(ports)) {
      this.#listeners = await machine.readListeners();
      this.#ports = ports;
      this.#readAtMs = nowMs;
    }
    return this.#listeners;
  }

  #covers(ports: ReadonlySet<number>): boolean {
    for (const port of ports) if (!this.#ports.has(port)) return false;
    return true;
  }
}
