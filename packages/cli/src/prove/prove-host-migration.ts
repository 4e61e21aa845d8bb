import {
  type HostFacts,
  KUBE_PROXY_VERSION,
  type KubeProxyFacts,
  type Migration,
  proveMigration,
} from "@svcproxy/nftables";
import { type GivenRules, hostStateOf, readHostState } from "@svcproxy/rules";
import { type Family, inputError, planHost } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { type FoundRules, type NamedSnapshot, placeOf } from "../host-rules/find-rules.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import { type readTopologyForModes, resolveHost, resolveOwnHost } from "../source/read-topology.ts";
import type { ProveFlags } from "./prove-flags.ts";

/** The topology as kube-proxy sees it in each mode. */
export type ModeTopologies = Awaited<ReturnType<typeof readTopologyForModes>>;

export interface MigrationSource {
  readonly found: FoundRules;
  readonly flags: Pick<ProveFlags, "host" | "hostState" | "live" | "kubeProxyVersion">;
}

/**
 * Proves what becomes of one host when kube-proxy goes to its nftables mode.
 *
 * @throws InputError HOST_REQUIRED, UNKNOWN_HOST, RULES_REQUIRED, or for a host's state that cannot be read
 */
export async function proveHostMigration(
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
    kubeProxy: { gates, ...kubeProxyVersionOf(flags) },
  });
  return { migration, hostName };
}

/** The version that `--kube-proxy-version` names. @throws InputError UNKNOWN_VALUE */
export function kubeProxyVersionOf({
  kubeProxyVersion,
}: Pick<ProveFlags, "kubeProxyVersion">): Pick<KubeProxyFacts, "version"> {
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
export function exitCodeOfMigrations(migrations: readonly Migration[]): ExitCode {
  if (migrations.some(({ verdict }) => verdict === "not ready")) return 3;
  return migrations.some(({ verdict }) => verdict === "undecided") ? 4 : 0;
}
