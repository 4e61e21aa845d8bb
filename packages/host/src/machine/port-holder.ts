import { listenersAt, type PortHolder, type WantedSocket } from "./listeners.ts";
import type { Machine } from "./machine.ts";

/**
 * The process that keeps an address and port from being bound, as far as this user may see it.
 *
 * For many ports at once read the listeners once: `Machine.readListeners`, `listenersAt`, `Machine.readHolders`.
 */
export async function findPortHolder(
  machine: Pick<Machine, "readListeners" | "readHolders">,
  socket: WantedSocket,
): Promise<PortHolder | undefined> {
  const inodes = new Set(listenersAt(await machine.readListeners(), socket).map(({ inode }) => inode));
  if (inodes.size === 0) return undefined;
  const [holder] = (await machine.readHolders(inodes)).values();
  return holder;
}
