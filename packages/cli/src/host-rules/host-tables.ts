import type { Difference } from "@svcproxy/host";
import { commitSteps, formatChange, NftablesDataPath, type TableChange, tableName } from "@svcproxy/nftables";
import { visible } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { familiesOf, type NftablesPlanFlags } from "../flags/nftables-flags.ts";

export interface DataPathFlags extends Pick<NftablesPlanFlags, "family" | "trafficCounters" | "takePort"> {
  readonly replace?: "iptables";
}

/** The nftables data path as the command line sets it; the log says whom it waits for. */
export async function openDataPath(
  context: CommandContext,
  { family, trafficCounters, takePort, replace }: DataPathFlags,
): Promise<NftablesDataPath> {
  const log = await context.logger();
  return new NftablesDataPath({
    settings: {
      families: familiesOf(family),
      countsTraffic: trafficCounters,
      takePorts: new Set(takePort),
      replacesIptables: replace === "iptables",
    },
    onWait: (holder) =>
      log.info({ holder }, `waiting for another svcproxy${holder === undefined ? "" : ` (pid ${holder})`} to be done`),
  });
}

/** The changed tables in words, each once: `ip svcproxy, ip6 svcproxy`. */
export function tablesOf(changes: readonly TableChange[]): string {
  const families = changes.map((change) => (change.kind === "removal" ? change.family : change.transaction.family));
  return [...new Set(families.map(tableName))].join(", ");
}

/** For people: each difference below its place, `-` before what nftables has and the plan has not, `+` before the reverse. */
export function formatDifferences(differences: readonly Difference[]): string {
  const lines = differences.flatMap(({ place, text }) => [`@@ ${place} @@`, ...text.split("\n")]);
  return lines.map((line) => `${visible(line)}\n`).join("");
}

/** What `--dry-run` prints: what would be fed to nft, run by run. */
export function printChanges(changes: readonly TableChange[]): string {
  if (changes.length === 0) return "# nothing to change\n";
  return commitSteps(changes)
    .map((step) => `# nft -f -\n${step.map(formatChange).join("")}`)
    .join("");
}
