import { spawnSync } from "node:child_process";
import process from "node:process";

const INSIDE = "inside";

/**
 * Runs a measurement in a network namespace of its own, by starting this program once more in one, with its flags. Needs root. The exit code is that of the
 * second process.
 */
export async function inOwnNetwork(measure: () => Promise<void>): Promise<void> {
  if (process.argv.at(-1) === INSIDE) {
    await measure();
    return;
  }
  const own = [process.execPath, ...process.execArgv, ...process.argv.slice(1), INSIDE];
  const { status } = spawnSync("unshare", ["--net", "--kill-child", ...own], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
