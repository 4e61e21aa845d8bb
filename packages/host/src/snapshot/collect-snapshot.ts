import { formatCidr } from "@svcproxy/topology";
import { readRuleTexts } from "../live-rules/read-rule-texts.ts";
import type { Machine } from "../machine/machine.ts";
import type { PodNamespace } from "../machine/pod-namespaces.ts";
import { readHostStateParts } from "../machine/read-host-state-json.ts";
import { readBacklogs } from "./read-backlogs.ts";
import { readNamespaceIds } from "./read-namespace-ids.ts";
import {
  type Command,
  type PartReading,
  readCommand,
  readGuarded,
  readJsonCommand,
  readProc,
  type UnreadPart,
} from "./read-part.ts";

type AskedMachine = Pick<
  Machine,
  "run" | "hasTool" | "readSysctl" | "readRecentLists" | "readProcFile" | "readProcesses" | "readPods"
>;

/** The version of the file's format; a reader refuses a later one. */
export const SNAPSHOT_VERSION = 1;

export interface SnapshotOptions {
  readonly signal: AbortSignal;
  /** The time, ISO 8601. */
  readonly takenAt: string;
  readonly hostname: string;
}

/**
 * All that a proof, a doctor or a person needs of this host in one JSON file, which `readSnapshot` reads; looking changes nothing of
 * the host. What could not be read stands under `unread` with the reason.
 *
 * @throws EnvironmentError where `ip` is missing or refuses, INTERRUPTED, OUT_OF_DESCRIPTORS
 */
export async function collectSnapshot(
  machine: AskedMachine,
  { signal, takenAt, hostname }: SnapshotOptions,
): Promise<{ readonly text: string; readonly unread: readonly UnreadPart[] }> {
  const hostState = await readHostStateParts(machine, { signal });
  const unread: UnreadPart[] = [...hostState.unread];
  const parts: Record<string, unknown> = {};
  const keep = (part: string, reading: PartReading<unknown>) => {
    if ("because" in reading) unread.push({ part, because: reading.because });
    else parts[part] = reading.value;
  };
  // One after the other: what they read is to be of one moment, and a busy host is not to be made busier.
  for (const [part, command] of TEXTS) keep(part, await readCommand(machine, command, signal));
  for (const [part, command] of LISTS) keep(part, await readJsonCommand(machine, command, signal));
  const queues = machine.hasTool("tc") ? await readJsonCommand(machine, QUEUES, signal) : undefined;
  if (queues !== undefined) keep("qdisc", queues);
  for (const [part, path] of FILES) {
    const reading = await readProc(machine, path);
    if ("value" in reading || !OPTIONAL.has(part)) keep(part, reading);
  }
  keep("sockets", await readCommand(machine, SOCKETS, signal));
  keep("processes", await readGuarded(() => machine.readProcesses()));
  const pods = await readGuarded(() => machine.readPods());
  if ("value" in pods) {
    const withBacklogs = await readBacklogs(machine, { pods: pods.value, signal });
    keep("pods", { value: (await readNamespaceIds(machine, { pods: withBacklogs, signal })).map(writePod) });
  } else keep("pods", pods);
  const rules = await readGuarded(() => readRuleTexts(machine, { signal, withCounters: true }));
  keep("rules", rules);
  if ("value" in rules)
    for (const { table, because } of rules.value.unread)
      unread.push({ part: "rules", because: `${table}: ${because}` });
  const nft = machine.hasTool("nft") ? await readJsonCommand(machine, NFT_JSON, signal) : undefined;
  if (nft !== undefined) keep("nftJson", nft);
  const sysctls = await readSysctls(machine, hostState.state.sysctls);
  const versions = await readVersions(machine, signal);
  const head = { svcproxySnapshot: SNAPSHOT_VERSION, takenAt, hostname, versions, unread };
  return { text: formatParts({ ...head, ...hostState.state, sysctls, ...parts }), unread };
}

function writePod({ routes, ...pod }: PodNamespace) {
  return routes === undefined ? pod : { ...pod, routes: routes.map(formatCidr) };
}

/** JSON with a line for each part: a fault's line says which, and `grep` finds one. */
function formatParts(parts: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(parts).map(([part, value]) => `${JSON.stringify(part)}: ${JSON.stringify(value)}`);
  return `{${lines.join(",\n")}}\n`;
}

/** Flows of more than some 100,000 clients are not kept. */
const MAX_FLOW_BYTES = 24 << 20;

const TEXTS: readonly (readonly [string, Command])[] = [
  ["udpFlows", { tool: "conntrack", args: ["-L", "-p", "udp", "-f", "ipv4"], maxOutputBytes: MAX_FLOW_BYTES }],
  ["udpFlows6", { tool: "conntrack", args: ["-L", "-p", "udp", "-f", "ipv6"], maxOutputBytes: MAX_FLOW_BYTES }],
];

const LISTS: readonly (readonly [string, Command])[] = [
  // Twice `-s` counts what was dropped because it was for another host's MAC address.
  ["link", { tool: "ip", args: ["-j", "-d", "-s", "-s", "link"] }],
  ["neigh", { tool: "ip", args: ["-j", "-s", "neigh"] }],
  ["fdb", { tool: "bridge", args: ["-j", "fdb", "show"] }],
];

/** Where there is no tc, no queue is told. */
const QUEUES: Command = { tool: "tc", args: ["-s", "-j", "qdisc", "show"] };

const FILES: readonly (readonly [string, string])[] = [
  ["conntrackStat", "/proc/net/stat/nf_conntrack"],
  ["snmp", "/proc/net/snmp"],
  ["snmp6", "/proc/net/snmp6"],
  ["netstat", "/proc/net/netstat"],
  ["ipvs", "/proc/net/ip_vs"],
];

/** Absent where their module is not in use, which says all there is to say. */
const OPTIONAL: ReadonlySet<string> = new Set(["ipvs", "snmp6", "conntrackStat"]);

/** Without `-e`: nothing of it is a secret. */
const SOCKETS: Command = { tool: "ss", args: ["-H", "-l", "-n", "-t", "-u", "-p"] };

const NFT_JSON: Command = { tool: "nft", args: ["-j", "list", "ruleset"] };

/** Beside those on which a packet's way hangs: what limits, and what is counted. */
const MORE_SYSCTLS: readonly string[] = [
  ...["nf_conntrack_count", "nf_conntrack_max", "nf_conntrack_buckets", "nf_conntrack_udp_timeout"].map(
    (name) => `net.netfilter.${name}`,
  ),
  ...["nf_conntrack_udp_timeout_stream", "nf_conntrack_tcp_timeout_established"].map((name) => `net.netfilter.${name}`),
  ...["ip_local_port_range", "ip_local_reserved_ports", "ip_unprivileged_port_start", "ip_nonlocal_bind"].map(
    (name) => `net.ipv4.${name}`,
  ),
  ...["net.ipv6.conf.all.disable_ipv6", "net.core.somaxconn", "net.ipv4.neigh.default.gc_thresh3"],
];

async function readSysctls(
  machine: Pick<Machine, "readSysctl">,
  known: Readonly<Record<string, string>>,
): Promise<Readonly<Record<string, string>>> {
  const sysctls = { ...known };
  for (const name of MORE_SYSCTLS) {
    const value = await machine.readSysctl(name);
    if (value !== undefined) sysctls[name] = value;
  }
  return sysctls;
}

/** Tools whose version decides about what they can do or print. */
const VERSIONED: readonly (readonly [string, string])[] = [
  ["nft", "--version"],
  ["iptables", "-V"],
  ["iptables-nft", "-V"],
  ["iptables-legacy", "-V"],
  ["ip", "-V"],
  ["conntrack", "-V"],
  ["ipset", "-v"],
];

async function readVersions(
  machine: Pick<Machine, "run" | "readProcFile">,
  signal: AbortSignal,
): Promise<Readonly<Record<string, string>>> {
  const versions: Record<string, string> = {};
  const kernel = await machine.readProcFile("/proc/sys/kernel/osrelease");
  if (kernel !== undefined) versions["kernel"] = kernel.trim();
  for (const [tool, flag] of VERSIONED) {
    const reading = await readCommand(machine, { tool, args: [flag] }, signal);
    if ("value" in reading) versions[tool] = reading.value.trim().split("\n")[0] ?? "";
  }
  return versions;
}
