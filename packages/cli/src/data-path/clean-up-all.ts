import {
  type DataPath,
  HELD_TABLE,
  MissingTool,
  releaseConnections,
  removeTraceLeftover,
  TRACE_TABLE,
  thisMachine,
} from "@svcproxy/host";
import { EnvironmentError, type Problem, problemOfError } from "@svcproxy/topology";
import { cleanUpUserspace } from "@svcproxy/userspace";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logProblems, reportProblems } from "../command-line/log-problems.ts";
import { renderJson } from "../command-line/render-json.ts";
import { openDataPath as openRules } from "../host-rules/host-rules.ts";
import { openDataPath as openTables } from "../host-rules/host-tables.ts";
import { refuseBesideAgent } from "./refuse-beside-agent.ts";

/** Removes what is ours of every data path; one that cannot be cleaned up does not keep the others from it. */
export async function cleanUpAll(context: CommandContext, { json }: { readonly json?: true }): Promise<ExitCode> {
  await refuseBesideAgent("clean up");
  const removed: string[] = [];
  const problems: Problem[] = [];
  const dataPaths: readonly Cleanable[] = [
    await openTables(context, {}),
    await openRules(context, {}),
    { name: "userspace", cleanup: () => cleanUpUserspace({}, thisMachine) },
    { name: "trace", cleanup: () => cleanUpTables(context.signal) },
  ];
  for (const dataPath of dataPaths) {
    const found = await cleanUp(dataPath, context.signal);
    removed.push(...found.removed);
    problems.push(...found.problems);
  }
  await logProblems(context, problems);
  const hasFailed = problems.some(({ severity }) => severity === "error");
  if (json === true) await context.print(renderJson({ removed, ...reportProblems(problems) }));
  else {
    const nothing = hasFailed
      ? "removed nothing, and not everything could be looked at"
      : "nothing to remove: no rule, no table and no VIP here is ours";
    const done = `${hasFailed ? "not done" : "done"}: removed ${removed.join(", ")}`;
    await context.print(`${removed.length === 0 ? nothing : done}\n`);
  }
  return hasFailed ? 1 : 0;
}

interface Cleanable extends Pick<DataPath, "cleanup"> {
  readonly name: DataPath["name"] | "trace";
}

async function cleanUpTables(signal: AbortSignal) {
  const isFound = await removeTraceLeftover(thisMachine, { signal });
  const isHeld = await releaseConnections(thisMachine, { signal });
  const removed = [...(isFound ? [`table ${TRACE_TABLE}`] : []), ...(isHeld ? [`table ${HELD_TABLE}`] : [])];
  return { removed, problems: [] };
}

async function cleanUp(
  dataPath: Cleanable,
  signal: AbortSignal,
): Promise<{ readonly removed: readonly string[]; readonly problems: readonly Problem[] }> {
  try {
    return await dataPath.cleanup({ signal });
  } catch (error) {
    if (!(error instanceof EnvironmentError) || error.code === "INTERRUPTED") throw error;
    // Whoever does not have the tool has put nothing there with it.
    const severity = error instanceof MissingTool ? "warning" : "error";
    return {
      removed: [],
      problems: [
        {
          ...problemOfError(error, { subject: dataPath.name === "trace" ? "trace" : `data path ${dataPath.name}` }),
          severity,
        },
      ],
    };
  }
}
