import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { isSnapshotText, readRuleTexts, readSnapshot, thisMachine } from "@svcproxy/host";
import { chooseDialect, compileRules, fullRuleSet } from "@svcproxy/iptables";
import type { FollowedSource, Viewed, ViewedHost } from "@svcproxy/page";
import { formatSave, type HostState, hostStateOf, type RuleText, readHostState, readRules } from "@svcproxy/rules";
import { planHost, problemOf, type Topology, topologyProblems } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { printTables } from "../data-path/print-tables.ts";
import { readLiveHostState } from "../host-rules/live-host-state.ts";
import { notedAddresses } from "../source/machine-addresses.ts";
import { readText } from "../source/read-files.ts";
import { readTopology, resolveHost, resolveOwnHost } from "../source/read-topology.ts";
import { isPath, sourcesOf, type TopologyFlags } from "../source/topology-input.ts";
import { followLive } from "./follow-live.ts";

export interface ViewedFilesFlags extends TopologyFlags {
  readonly host?: string;
  readonly rules?: readonly string[];
  readonly live?: boolean;
  readonly snapshot?: readonly string[];
  readonly dataPath?: "nftables" | "iptables";
}

/** Without a choice so many hosts stand side by side. */
const MOST_HOSTS = 4;

/** A topology of files, with rules as they would be, of files, of snapshots, or of this machine. */
export function followFiles(
  context: CommandContext,
  files: readonly string[],
  flags: ViewedFilesFlags,
): FollowedSource<Viewed> {
  const named = [
    ...sourcesOf({ ...context, note: () => {} }, files),
    ...(flags.rules ?? []),
    ...(flags.snapshot ?? []),
  ].concat(flags.config ?? []);
  let isFirst = true;
  return {
    read: () => {
      // Warnings are on the page; the terminal has them once.
      const quiet = isFirst ? context : { ...context, note: () => {} };
      isFirst = false;
      return readViewed(quiet, files, flags);
    },
    whole: async (viewed) => viewed,
    signature: async () => named.map(signatureOf).join("\n"),
    ...(flags.live === true ? followLive(context) : {}),
  };
}

/** etcd and API servers are asked anew after so long at the earliest. */
const ASK_AGAIN_MS = 5_000;

/** Changes with the file, or with any that is right in a directory; what came by stdin stays as it is, and what has to be asked for may be otherwise. */
function signatureOf(path: string): string {
  if (path === "-") return "";
  if (!isPath(path)) return String(Math.floor(performance.now() / ASK_AGAIN_MS));
  try {
    const stats = statSync(path);
    const files = stats.isDirectory() ? readdirSync(path).map((name) => join(path, name)) : [];
    return [stats, ...files.map((file) => statSync(file))]
      .map(({ mtimeMs, size, ino }) => `${mtimeMs} ${size} ${ino}`)
      .join("\n");
  } catch (error) {
    // Reading tells what is wrong with it, and where.
    return String(error);
  }
}

async function readViewed(context: CommandContext, files: readonly string[], flags: ViewedFilesFlags): Promise<Viewed> {
  const { topology, warnings } = await readTopology(context, files, flags);
  return {
    source: sourceOf(files, flags),
    takenAt: new Date().toISOString(),
    topology,
    hosts: await hostsOf(context, topology, flags),
    problems: [...warnings.map(problemOf), ...topologyProblems(topology)],
  };
}

function sourceOf(files: readonly string[], { rules = [], snapshot = [], live }: ViewedFilesFlags): string {
  const topology = files.length === 0 ? "the topology of this machine, or the built-in example" : files.join(", ");
  const others = [...rules, ...snapshot, ...(live === true ? ["this machine"] : [])];
  return others.length === 0 ? topology : `${topology}, with ${others.join(", ")}`;
}

async function hostsOf(
  context: CommandContext,
  topology: Topology,
  flags: ViewedFilesFlags,
): Promise<readonly ViewedHost[]> {
  if (flags.snapshot !== undefined)
    return Promise.all(flags.snapshot.map((file) => hostOfSnapshot(context, { topology, file })));
  if (flags.live === true) return [await liveHost(context, topology, flags)];
  if (flags.rules !== undefined) return [await hostOfRules(context, topology, { ...flags, rules: flags.rules })];
  const names =
    flags.host === undefined && topology.hosts.length > 0
      ? topology.hosts.slice(0, MOST_HOSTS).map(({ name }) => name)
      : [resolveHost(topology, flags.host)];
  return names.map((name) => plannedHost(topology, { name, dataPath: flags.dataPath ?? "iptables" }));
}

/** Rules as they would be written, on a host as the topology implies it. */
function plannedHost(
  topology: Topology,
  { name, dataPath }: { readonly name: string; readonly dataPath: "nftables" | "iptables" },
): ViewedHost {
  const plan = planHost(topology, { host: name });
  const texts =
    dataPath === "nftables"
      ? [{ file: "nftables", text: [...printTables(plan, { families: undefined, countsTraffic: false })].join("") }]
      : ([4, 6] as const).map((family): RuleText => {
          const rules = fullRuleSet(compileRules(plan, { dialect: chooseDialect(topology), family }));
          const program = family === 4 ? "iptables-save" : "ip6tables-save";
          return { file: program, text: `# Generated by ${program}\n${formatSave(rules)}` };
        });
  return {
    name,
    dataPath,
    rules: "planned",
    hostState: { ...hostStateOf(topology, { host: name }), recentLists: {} },
    texts,
    machineAddresses: [],
  };
}

async function hostOfRules(
  context: CommandContext,
  topology: Topology,
  flags: ViewedFilesFlags & { readonly rules: readonly string[] },
): Promise<ViewedHost> {
  const texts = await Promise.all(flags.rules.map(async (file) => ({ file, text: await readText(context, file) })));
  const [snapshot] = texts.filter(({ text }) => isSnapshotText(text));
  if (snapshot !== undefined) return snapshotHost(topology, { ...snapshot, host: flags.host });
  readRules(texts); // says now what cannot be read
  const name = resolveHost(topology, flags.host);
  return { name, rules: "read", hostState: hostStateOf(topology, { host: name }), texts, machineAddresses: [] };
}

async function hostOfSnapshot(
  context: CommandContext,
  { topology, file }: { readonly topology: Topology; readonly file: string },
): Promise<ViewedHost> {
  return snapshotHost(topology, { file, text: await readText(context, file), host: undefined });
}

/** @throws InputError HOST_REQUIRED where none of the topology's hosts, or several, have addresses of the snapshot's */
function snapshotHost(
  topology: Topology,
  { file, text, host }: RuleText & { readonly host: string | undefined },
): ViewedHost {
  const { hostState, rules, unread } = readSnapshot(text, { file });
  const machineAddresses = notedAddresses(hostState);
  const name = resolveHost(topology, host, {
    localAddresses: machineAddresses,
    called: `the host of ${JSON.stringify(file)}`,
  });
  return {
    name,
    rules: rules === undefined ? "none" : "read",
    hostState,
    texts: rules?.texts ?? [],
    machineAddresses,
    problems: unread.map(({ part, because }) => ({
      ...{ code: "HOST_PART_UNREAD" as const, severity: "warning" as const, subject: part },
      text: `${part} could not be read there: ${because}`,
    })),
  };
}

async function liveHost(context: CommandContext, topology: Topology, flags: ViewedFilesFlags): Promise<ViewedHost> {
  const { signal } = context;
  const name = resolveOwnHost(topology, flags);
  const hostState: HostState = readHostState(await readLiveHostState(signal), { file: "this host" });
  const { texts } = await readRuleTexts(thisMachine, { signal, withCounters: true });
  return { name, rules: "read", hostState, texts, machineAddresses: notedAddresses(hostState) };
}
