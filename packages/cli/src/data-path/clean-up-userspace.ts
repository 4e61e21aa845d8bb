import { thisMachine } from "@svcproxy/host";
import { problemSentence } from "@svcproxy/topology";
import { cleanUpUserspace as cleanUp } from "@svcproxy/userspace";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import type { InstanceFlags } from "../flags/userspace-flags.ts";

export interface CleanUpFlags extends InstanceFlags {
  readonly json?: true;
}

/** Takes away what a killed proxy left on this host; exit code 1 where something stays. */
export async function cleanUpUserspace(context: CommandContext, { runtimeDir, json }: CleanUpFlags): Promise<ExitCode> {
  const { removed, problems } = await cleanUp(
    runtimeDir === undefined ? {} : { runtimeDirectory: runtimeDir },
    thisMachine,
  );
  for (const problem of problems) context.error(`svcproxy: ${problemSentence(problem)}`);
  if (json === true) await context.print(renderJson({ removed, left: problems }));
  return problems.length === 0 ? 0 : 1;
}
