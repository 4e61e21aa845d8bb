import { readdirSync } from "node:fs";
import { join } from "node:path";
import { givenRules, isSnapshotText, readSnapshot } from "@svcproxy/host";
import { type FleetNode, fleetToJson, formatFleet, sumUpFleet } from "@svcproxy/nftables";
import { InputError, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { rulesOfSnapshot } from "../host-rules/find-rules.ts";
import { explainFailure, readText } from "../source/read-files.ts";
import { readTopologyForModes } from "../source/read-topology.ts";
import type { ProveFlags } from "./prove-flags.ts";
import { exitCodeOfMigrations, type ModeTopologies, proveHostMigration } from "./prove-host-migration.ts";

/** Proves the migration of each host whose snapshot is in a directory, and sums up; one that cannot be read keeps no other from it. */
export async function runFleet(
  context: CommandContext,
  files: readonly string[],
  flags: ProveFlags & { readonly fleet: string },
): Promise<ExitCode> {
  const snapshots = snapshotsIn(flags.fleet);
  const topologies = await readTopologyForModes(context, files, flags);
  const nodes: FleetNode[] = [];
  for (const [index, file] of snapshots.entries()) {
    if (context.signal.aborted) break;
    if (context.stderrIsTerminal) context.note(`svcproxy: ${index + 1} of ${snapshots.length}: ${file}`);
    nodes.push(await proveNode(context, topologies, { file, flags }));
  }
  const summary = sumUpFleet(nodes);
  await context.print(flags.json === true ? renderJson(fleetToJson(summary)) : formatFleet(summary));
  const code = exitCodeOfMigrations(nodes.flatMap((node) => (node.kind === "proved" ? [node.migration] : [])));
  return code === 0 && summary.failed.length > 0 ? 4 : code;
}

/** @throws InputError FILE_UNREADABLE, NO_FILES */
function snapshotsIn(folder: string): readonly string[] {
  const entries = explainFailure(folder, () => readdirSync(folder))
    .filter((name) => name.endsWith(".json"))
    .sort();
  if (entries.length > 0) return entries.map((name) => join(folder, name));
  throw inputError("NO_FILES", `Cannot read ${JSON.stringify(folder)}: the directory has no snapshot (.json)`, {
    hint: "Take one on each host: sudo svcproxy host-state --snapshot node1.json",
  });
}

async function proveNode(
  context: CommandContext,
  topologies: ModeTopologies,
  { file, flags }: { readonly file: string; readonly flags: ProveFlags },
): Promise<FleetNode> {
  try {
    const text = await readText(context, file);
    if (!isSnapshotText(text)) return { kind: "failed", file, because: "it is not a snapshot of a host" };
    const snapshot = { ...readSnapshot(text, { file }), file };
    const found = { snapshot, rules: givenRules(rulesOfSnapshot(snapshot)) };
    const { migration, hostName } = await proveHostMigration(context, topologies, { found, flags });
    return { kind: "proved", file, hostName, migration };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { kind: "failed", file, because: error.message };
  }
}
