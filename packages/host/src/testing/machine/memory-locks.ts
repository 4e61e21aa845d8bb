import { EnvironmentError } from "@svcproxy/topology";
import type { NamespaceLock } from "../../lock/lock-folder.ts";
import type { LockOptions } from "../../lock/namespace-lock.ts";

/** The pid of whoever has a lock in memory, for messages. */
const HOLDER = 1;

/** Locks in memory: those who want one that is held wait their turn. */
export class MemoryLocks {
  readonly #released = new Map<string, Promise<void>>();

  async take({ name, signal, waitMs, deed, onWait }: LockOptions): Promise<NamespaceLock> {
    const deadline = AbortSignal.timeout(waitMs);
    const ended = AbortSignal.any([signal, deadline]);
    const over = new Promise<void>((resolve) => ended.addEventListener("abort", () => resolve(), { once: true }));
    let hasWaited = false;
    for (;;) {
      if (signal.aborted) {
        throw new EnvironmentError(
          "INTERRUPTED",
          `Interrupted${hasWaited ? " while waiting for another svcproxy" : ""}`,
        );
      }
      if (deadline.aborted)
        throw new EnvironmentError("LOCKED", `Another svcproxy (pid ${HOLDER}) ${deed} for ${waitMs / 1000} s`);
      const held = this.#released.get(name);
      if (held === undefined) return this.#hold(name);
      if (!hasWaited) onWait?.(HOLDER);
      hasWaited = true;
      await Promise.race([held, over]);
    }
  }

  #hold(name: string): NamespaceLock {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#released.set(name, promise);
    return {
      fd: undefined,
      unref: () => {},
      [Symbol.asyncDispose]: async () => {
        if (this.#released.get(name) === promise) this.#released.delete(name);
        resolve();
      },
    };
  }
}
