import { EnvironmentError } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import { openDataPath as openRules } from "./host-rules.ts";
import { openDataPath as openTables } from "./host-tables.ts";

/** Says what of ours is in the kernel although no agent keeps it true. */
export async function noteLeftOver(context: CommandContext): Promise<void> {
  for (const dataPath of [await openTables(context, {}), await openRules(context, {})]) {
    try {
      const { vips, endpoints } = await dataPath.census({ signal: context.signal });
      if (vips.size === 0) continue;
      context.note(
        `svcproxy: ${dataPath.name} serves ${vips.size} VIPs by ${endpoints.size} endpoints here, and no agent keeps that true; svcproxy cleanup removes it`,
      );
    } catch (error) {
      // Where this user may not look, or a tool is missing, there is nothing to say.
      if (!(error instanceof EnvironmentError)) throw error;
    }
  }
}
