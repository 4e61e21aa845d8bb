import { isAgentRunning } from "@svcproxy/agent";
import { thisMachine } from "@svcproxy/host";
import { readLease } from "@svcproxy/nftables";
import type { Problem } from "@svcproxy/topology";

/** What is to be said where an agent is gone, and its tables answer on. */
export async function leftOverProblem({ signal }: { readonly signal: AbortSignal }): Promise<Problem | undefined> {
  const seconds = await readLease(thisMachine.run, { signal });
  if (seconds === undefined || (await isAgentRunning())) return undefined;
  const until = new Date(Date.now() + 1_000 * seconds).toISOString();
  return {
    ...{ code: "LEFT_OVER", severity: "warning", subject: "this host" },
    text:
      seconds === 0
        ? "The tables that an svcproxy run left here answer no more"
        : `No svcproxy run keeps the tables here true; they answer until ${until} as they are`,
    hint: "Start it again: svcproxy run; or remove them: svcproxy cleanup",
  };
}
