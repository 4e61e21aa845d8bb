import { hostname } from "node:os";
import { collectSnapshot, givenRules, readSnapshot, thisMachine } from "@svcproxy/host";
import {
  formatMigration,
  type HostFacts,
  KUBE_PROXY_VERSION,
  type KubeProxyFacts,
  type Migration,
  migrationToJson,
  proveMigration,
} from "@svcproxy/nftables";
import { type GivenRules, hostStateOf, readHostState } from "@svcproxy/rules";
import { EnvironmentError, type Family, inputError, planHost } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { type FoundRules, findRules, type NamedSnapshot, placeOf } from "../host-rules/find-rules.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import { readTopologyForModes, resolveHost, resolveOwnHost } from "../source/read-topology.ts";
import { traceCommandOf } from "../trace/trace-command.ts";
import type { ProveFlags } from "./run-prove.ts";

/** The topology as kube-proxy sees it in each mode. */
export type ModeTopologies = Awaited<ReturnType<typeof readTopologyForModes>>;

/** `prove --to kube-proxy-nftables`: what becomes of one host, or of a fleet, when kube-proxy goes to its nftables mode. */
export async function runMigration(
  context: CommandContext,
  files: readonly string[],
  flags: ProveFlags,
): Promise<ExitCode> {
  refuseContradictions(flags);
  versionOf(flags);
  if (flags.fleet !== undefined) {
    const { runFleet } = await import("./run-fleet.ts");
    return runFleet(context, files, { ...flags, fleet: flags.fleet });
  }
  const found = await findMigrationRules(context, flags);
  const topologies = await readTopologyForModes(context, files, flags);
  const { migration, hostName } = await migrationOf(context, topologies, { found, flags });
  const format = { hostName, traceCommand: traceCommandOf(files, flags, hostName) };
  await context.print(
    flags.json === true
      ? `${JSON.stringify(migrationToJson(migration, format), null, 2)}\n`
      : formatMigration(migration, format),
  );
  return exitCodeOf([migration]);
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

export interface MigrationSource {
  readonly found: FoundRules;
  readonly flags: Pick<ProveFlags, "host" | "hostState" | "live" | "kubeProxyVersion">;
}

/** @throws InputError HOST_REQUIRED, UNKNOWN_HOST, RULES_REQUIRED, or for a host's state that cannot be read */
export async function migrationOf(
  context: CommandContext,
  { iptables: before, nftables: after, gates }: ModeTopologies,
  { found: { rules, snapshot }, flags }: MigrationSource,
): Promise<{ readonly migration: Migration; readonly hostName: string }> {
  if (rules === undefined)
    throw inputError("RULES_REQUIRED", "Name the rules that kube-proxy wrote on the host, with --rules or --live", {
      hint: "On the host: sudo svcproxy host-state --snapshot node1.json",
    });
  const hostName =
    flags.live === true ? resolveOwnHost(after, flags) : resolveHost(after, flags.host, placeOf(snapshot));
  const given = flags.hostState === undefined ? undefined : await readText(context, flags.hostState);
  const hostState =
    given === undefined
      ? (snapshot?.hostState ?? hostStateOf(before, { host: hostName }))
      : readHostState(given, { file: flags.hostState ?? "" });
  const isSeen = given !== undefined || snapshot !== undefined;
  const plan = planHost(after, { host: hostName, ...(isSeen ? { machineAddresses: notedAddresses(hostState) } : {}) });
  const planned = new Set(plan.ports.map(({ family }) => family));
  const families = ([4, 6] as const).filter((family) => planned.has(family) && rules.families.includes(family));
  for (const family of families) noteUnread(context, rules, family);
  const migration = proveMigration({
    ...{ families, plan, hostState },
    rules: (family) => rules.rules(family),
    facts: factsOf(snapshot),
    kubeProxy: { gates, ...versionOf(flags) },
  });
  return { migration, hostName };
}

/** @throws InputError UNKNOWN_VALUE */
function versionOf({ kubeProxyVersion }: Pick<ProveFlags, "kubeProxyVersion">): Pick<KubeProxyFacts, "version"> {
  if (kubeProxyVersion === undefined) return {};
  if (KUBE_PROXY_VERSION.test(kubeProxyVersion)) return { version: kubeProxyVersion.replace(/^v/, "") };
  throw inputError("UNKNOWN_VALUE", `Cannot read ${JSON.stringify(kubeProxyVersion)} as a version of kube-proxy`, {
    hint: "Write it like --kube-proxy-version 1.37.2",
  });
}

function noteUnread(context: CommandContext, rules: GivenRules, family: Family): void {
  for (const { table, because } of rules.rules(family).unread)
    context.note(`svcproxy: IPv${family} rules of ${table} were not read: ${because}`);
}

function factsOf(snapshot: NamedSnapshot | undefined): HostFacts {
  if (snapshot === undefined) return { accounting: new Map(), ipvsServices: [], isSeen: false };
  const { kernel, nft } = snapshot.versions;
  return {
    ...(kernel === undefined ? {} : { kernel }),
    ...(nft === undefined ? {} : { nft }),
    accounting: new Map(snapshot.accounting.map(({ name, packets }) => [name, packets])),
    ipvsServices: snapshot.ipvsServices,
    isSeen: true,
  };
}

/** 3 where one is not ready, 4 where none is not, but one could not be decided; what differs and is not in the way counts for nothing. */
export function exitCodeOf(migrations: readonly Migration[]): ExitCode {
  if (migrations.some(({ verdict }) => verdict === "not ready")) return 3;
  return migrations.some(({ verdict }) => verdict === "undecided") ? 4 : 0;
}
