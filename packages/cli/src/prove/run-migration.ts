import { hostname } from "node:os";
import { collectSnapshot, givenRules, readSnapshot, thisMachine } from "@svcproxy/host";
import { formatMigration, migrationToJson } from "@svcproxy/nftables";
import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { type FoundRules, findRules, type NamedSnapshot } from "../host-rules/find-rules.ts";
import { readTopologyForModes } from "../source/read-topology.ts";
import { traceCommandOf } from "../trace/trace-command.ts";
import type { ProveFlags } from "./prove-flags.ts";
import { exitCodeOfMigrations, kubeProxyVersionOf, proveHostMigration } from "./prove-host-migration.ts";

/** `prove --to kube-proxy-nftables`: what becomes of one host, or of a fleet, when kube-proxy goes to its nftables mode. */
export async function runMigration(
  context: CommandContext,
  files: readonly string[],
  flags: ProveFlags,
): Promise<ExitCode> {
  refuseContradictions(flags);
  kubeProxyVersionOf(flags);
  if (flags.fleet !== undefined) {
    const { runFleet } = await import("./run-fleet.ts");
    return runFleet(context, files, { ...flags, fleet: flags.fleet });
  }
  const found = await findMigrationRules(context, flags);
  const topologies = await readTopologyForModes(context, files, flags);
  const { migration, hostName } = await proveHostMigration(context, topologies, { found, flags });
  const format = { hostName, traceCommand: traceCommandOf(files, flags, hostName) };
  await context.print(
    flags.json === true ? renderJson(migrationToJson(migration, format)) : formatMigration(migration, format),
  );
  return exitCodeOfMigrations([migration]);
}

/** @throws InputError CONFLICTING_FLAGS */
function refuseContradictions(flags: ProveFlags): void {
  const { to, fleet, same, rules, live, host, hostState } = flags;
  const refuse = (message: string, hint?: string) => {
    throw inputError("CONFLICTING_FLAGS", message, hint === undefined ? {} : { hint });
  };
  if (to === undefined) refuse("--fleet sums up a migration: name it with --to kube-proxy-nftables");
  if (same !== undefined) refuse("Cannot compare with --same and with --to: name one of them");
  if (rules !== undefined && live === true)
    refuse("Cannot take the rules from --rules and from --live: name one of them");
  if (fleet === undefined) return;
  if (rules !== undefined || live === true || hostState !== undefined || host !== undefined)
    refuse(
      "--fleet takes hosts, rules and addresses from its snapshots: leave out --host, --host-state, --rules and --live",
    );
}

/** The rules to migrate, with all that is known of their host. */
async function findMigrationRules(context: CommandContext, flags: ProveFlags): Promise<FoundRules> {
  if (flags.live !== true) return findRules(context, flags);
  const options = { signal: context.signal, takenAt: new Date().toISOString(), hostname: hostname() };
  const { text } = await collectSnapshot(thisMachine, options);
  const snapshot: NamedSnapshot = { ...readSnapshot(text, { file: "this host" }), file: "this host" };
  const why = snapshot.unread.find(({ part }) => part === "rules")?.because;
  if (snapshot.rules === undefined)
    throw new EnvironmentError("NEEDS_ROOT", why ?? "Cannot read the rules of this host", { hint: "Try it with sudo" });
  return { snapshot, rules: givenRules(snapshot.rules) };
}
