import { execFileSync } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { bundle } from "./bundle.ts";

export interface ExecutableOptions {
  readonly output: string;
  /** The Node that goes into it, of the version that runs this; default: the one that runs this. */
  readonly node?: string;
  /** Whether V8 may keep compiled code in it: it takes that from its own kind of processor only. Default true. */
  readonly keepsCode?: boolean;
}

/**
 * Makes the command a single executable that needs no Node.
 *
 * @returns the ids of the modules that are in it
 */
export async function makeExecutable({
  output,
  node = process.execPath,
  keepsCode = true,
}: ExecutableOptions): Promise<readonly string[]> {
  const work = mkdtempSync(join(tmpdir(), "svcproxy-executable-"));
  try {
    const [main] = await bundle({ inOneFile: true });
    if (main === undefined) throw new Error("the bundler made nothing");
    writeFileSync(join(work, "main.cjs"), main.code);
    const config = { main: join(work, "main.cjs"), executable: node, output, useCodeCache: keepsCode };
    writeFileSync(join(work, "sea.json"), JSON.stringify({ ...config, disableExperimentalSEAWarning: true }));
    execFileSync(process.execPath, ["--build-sea", join(work, "sea.json")], { stdio: "pipe" });
    chmodSync(output, 0o755);
    return main.moduleIds;
  } finally {
    rmSync(work, { recursive: true });
  }
}
