import { constants, setPriority } from "node:os";
import { setOomScore } from "@svcproxy/agent";
import { diagnose, findingsOf } from "@svcproxy/doctor";
import { EnvironmentError, type Topology } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { observeThisHost } from "../host-rules/observe-host.ts";

/** Where memory runs out the kernel takes this process before the agent that started it. */
const OOM_SCORE = 800;

/**
 * Prints what the doctor finds without a probe, as a JSON list of problems. What an agent serves comes as JSON on stdin: `topology`
 * and `host`.
 */
export async function printFindings(context: CommandContext): Promise<ExitCode> {
  await setOomScore(OOM_SCORE);
  setPriority(constants.priority.PRIORITY_LOW);
  const asked: unknown = JSON.parse((await context.readStdin()).toString("utf8"));
  if (!isAsked(asked)) throw new EnvironmentError("OTHER_VERSION", "Cannot look: the agent is of another version");
  const here = await observeThisHost(context, asked);
  const { signal } = context;
  const found = await diagnose({ topology: asked.topology, here, peers: new Map() }, { signal });
  await context.print(`${JSON.stringify(findingsOf(found))}\n`);
  return 0;
}

/** The agent has read it, and is of this version: its own program. */
function isAsked(value: unknown): value is { readonly topology: Topology; readonly host: string } {
  return typeof value === "object" && value !== null && "topology" in value && "host" in value;
}
