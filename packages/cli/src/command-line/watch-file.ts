import { unwatchFile, watchFile as watchStats } from "node:fs";

/** A ConfigMap's volume swaps a link, which notices of folders tell in many ways: a look costs less than to tell them apart. */
const LOOK_MS = 5_000;

/** Calls `onChange` each time that the file at the end of `path` is another one. */
export function watchFile(path: string, onChange: () => void): Disposable {
  const look = () => onChange();
  watchStats(path, { interval: LOOK_MS, persistent: false }, look);
  return { [Symbol.dispose]: () => unwatchFile(path, look) };
}
