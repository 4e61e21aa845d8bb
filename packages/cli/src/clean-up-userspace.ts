import { problemSentence } from "@svcproxy/topology";
import { cleanUpAfterKill } from "@svcproxy/userspace";
import type { CommandContext, ExitCode } from "./command-context.ts";
import type { InstanceFlags } from "./userspace-flags.ts";

/** Takes away what a killed proxy left on this host. */
export async function cleanUpUserspace(context: CommandContext, { runtimeDir }: InstanceFlags): Promise<ExitCode> {
  const left = await cleanUpAfterKill(runtimeDir === undefined ? {} : { runtimeDirectory: runtimeDir });
  for (const problem of left) context.note(`svcproxy: ${problemSentence(problem)}`);
  return left.length === 0 ? 0 : 1;
}
