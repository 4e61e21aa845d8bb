import type { DataPathName } from "@svcproxy/host";
import type { CommandContext } from "../command-line/command-context.ts";
import { logProblems } from "../command-line/log-problems.ts";

/** What `--replace` did. */
export interface Replaced {
  /** What was removed; empty: there was nothing. */
  readonly removed: readonly string[];
  /** For people. */
  readonly text: string;
}

/**
 * Removes what is ours of the data path that served before, now that another serves the same plan. Connections go on.
 *
 * @param options.isServed false where the new one does not serve all of the plan: then the old one stays
 */
export async function replaceDataPath(
  context: CommandContext,
  { old, isServed }: { readonly old: Extract<DataPathName, "iptables" | "nftables">; readonly isServed: boolean },
): Promise<Replaced> {
  if (!isServed) return { removed: [], text: `what is ours in ${old} stays, because not all of the plan is served\n` };
  const { openDataPath } =
    old === "iptables" ? await import("../host-rules/host-rules.ts") : await import("../host-rules/host-tables.ts");
  const dataPath = await openDataPath(context, {});
  const { removed, problems } = await dataPath.cleanup({ signal: context.signal, handsOver: true });
  await logProblems(context, problems);
  const text = removed.length === 0 ? `nothing in ${old} was ours` : `removed ours from ${old}: ${removed.join(", ")}`;
  return { removed, text: `${text}\n` };
}
