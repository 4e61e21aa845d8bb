import { execFile } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** The built command, for tests that start it as a process: it starts four times as fast as the sources. */
    readonly program: string;
  }
}

/** vitest's global set-up: builds the command into a folder of the run. */
export default async function buildProgram(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-built-"));
  await chmod(folder, 0o755); // some tests run it as another user
  const build = () =>
    promisify(execFile)(process.execPath, [resolve(import.meta.dirname, "../../build.ts"), folder], {
      cwd: resolve(import.meta.dirname, "../.."),
    });
  await build();
  project.onTestsRerun(async () => {
    await build();
  });
  project.provide("program", join(folder, "main.cjs"));
  return () => rm(folder, { recursive: true });
}
