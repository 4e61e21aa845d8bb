import type { Machine } from "../machine/machine.ts";
import type { NamespaceLock } from "./lock-folder.ts";

/** How long one svcproxy waits for another that changes the rules. */
const LOCK_WAIT_MS = 60_000;

/**
 * Waits until no other svcproxy changes the rules of this network namespace, whatever tool it does it with.
 *
 * @throws EnvironmentError LOCKED, INTERRUPTED, RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS
 */
export function lockRules(
  machine: Pick<Machine, "lock">,
  {
    signal,
    onWait,
  }: { readonly signal: AbortSignal; readonly onWait?: ((holder: number | undefined) => void) | undefined },
): Promise<NamespaceLock> {
  const deed = "has been changing the rules of this network namespace";
  return machine.lock({ name: "rules", signal, waitMs: LOCK_WAIT_MS, deed, onWait });
}
