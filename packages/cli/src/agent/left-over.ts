import { isAgentRunning } from "@svcproxy/agent";
import { thisMachine } from "@svcproxy/host";
import { readLease } from "@svcproxy/nftables";
import type { Problem } from "@svcproxy/topology";
import { findLeftVips } from "@svcproxy/userspace";

/** What is to be said where an agent is gone: its tables answer on, and its VIPs lead to nobody. */
export async function leftOverProblems({ signal }: { readonly signal: AbortSignal }): Promise<readonly Problem[]> {
  if (await isAgentRunning()) return [];
  const found = await Promise.all([leftTables(signal), leftVips()]);
  return found.filter((problem) => problem !== undefined);
}

const LEFT = { code: "LEFT_OVER", severity: "warning", subject: "this host" } as const;

async function leftTables(signal: AbortSignal): Promise<Problem | undefined> {
  const seconds = await readLease(thisMachine.run, { signal });
  if (seconds === undefined) return undefined;
  const until = new Date(Date.now() + 1_000 * seconds).toISOString();
  return {
    ...LEFT,
    text:
      seconds === 0
        ? "The tables that an svcproxy run left here answer no more"
        : `No svcproxy run keeps the tables here true; they answer until ${until} as they are`,
    hint: "Start it again: svcproxy run; or remove them: svcproxy cleanup",
  };
}

async function leftVips(): Promise<Problem | undefined> {
  const [first, ...more] = await findLeftVips(thisMachine);
  if (first === undefined) return undefined;
  const vips = more.length === 0 ? `VIP ${first} is` : `${more.length + 1} VIPs, ${first} the first, are`;
  return {
    ...LEFT,
    text: `${vips} on this host, and no userspace proxy answers there any more`,
    hint: "Start it again: svcproxy run, or svcproxy userspace; or remove what is left: svcproxy cleanup",
  };
}
