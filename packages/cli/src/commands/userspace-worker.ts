import process from "node:process";
import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

/** A worker process of `svcproxy userspace`, where all of svcproxy is one file. Not for people. */
export function addUserspaceWorker(userspace: Command, run: RunCommand): void {
  userspace.command("worker", { hidden: true }).action(() =>
    run(async () => {
      const { runWorkerProcess } = await import("@svcproxy/userspace");
      runWorkerProcess();
      return 0;
    }),
  );
}

/** How the proxy starts its workers: in a bundle by this program itself, from sources by a file of their own. */
export function workerProgram(): { readonly workerProgram?: readonly [string, ...string[]] } {
  const [, script = ""] = process.argv;
  return script.endsWith(".ts") ? {} : { workerProgram: [script, "userspace", "worker"] };
}
