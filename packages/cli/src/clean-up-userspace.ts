import { problemSentence } from "@svcproxy/topology";
import { cleanUpAfterKill } from "@svcproxy/userspace";
import type { CommandContext, ExitCode } from "./command-context.ts";
import type { InstanceFlags } from "./userspace-flags.ts";

export interface CleanUpFlags extends InstanceFlags {
  readonly json?: true;
}

/** Takes away what a killed proxy left on this host; exit code 1 where something stays. */
export async function cleanUpUserspace(context: CommandContext, { runtimeDir, json }: CleanUpFlags): Promise<ExitCode> {
  const left = await cleanUpAfterKill(runtimeDir === undefined ? {} : { runtimeDirectory: runtimeDir });
  for (const problem of left) context.error(`svcproxy: ${problemSentence(problem)}`);
  if (json === true) await context.print(`${JSON.stringify({ left }, null, 2)}\n`);
  return left.length === 0 ? 0 : 1;
}
