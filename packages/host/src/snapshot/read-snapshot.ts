import { type JsonObject, JsonReader, type Path, readHostStateOf } from "@svcproxy/rules";
import { inputError, parseCidr, parseIpAddress } from "@svcproxy/topology";
import { parseConntrackEntry } from "../conntrack/conntrack.ts";
import type { RuleTexts, UnreadHostRules } from "../live-rules/read-rule-texts.ts";
import type { PodListener, PodNamespace } from "../machine/pod-namespaces.ts";
import type { RunningProcess } from "../machine/processes.ts";
import { SNAPSHOT_VERSION } from "./collect-snapshot.ts";
import type {
  ConntrackSummary,
  ForwardingEntry,
  HostSnapshot,
  LinkCounts,
  LinkReading,
  Neighbour,
  QueueReading,
} from "./host-snapshot.ts";
import {
  parseAccounting,
  parseBlockingPolicies,
  parseConntrackStatistics,
  parseIpvsServices,
  parseListedCounters,
  parsePairedCounters,
  parseSockets,
} from "./parse-tables.ts";
import type { UnreadPart } from "./read-part.ts";

/** Whether a text is a snapshot rather than rules, or a host's state alone: its first key says so. */
export function isSnapshotText(text: string): boolean {
  return /^\s*\{\s*"svcproxySnapshot"/.test(text);
}

/**
 * Reads what `svcproxy host-state --snapshot` wrote.
 *
 * @param options.file what faults name
 * @throws InputError HOST_STATE_INVALID with the places of what cannot be read, or for a version that is not known
 */
export function readSnapshot(text: string, { file }: { readonly file: string }): HostSnapshot {
  const reader = new JsonReader(file);
  const root = reader.parse(text);
  refuseOtherVersions(root, file);
  const hostState = readHostStateOf(reader, root);
  const texts = (key: string) => (root[key] === undefined ? "" : (reader.text(root[key], [key]) ?? ""));
  const lists = <T>(key: string, read: (entry: JsonObject, path: Path) => T | undefined) =>
    root[key] === undefined ? [] : readEntries(reader, { value: root[key], path: [key] }, read);
  const flows = [texts("udpFlows"), texts("udpFlows6")];
  const snapshot: HostSnapshot = {
    takenAt: texts("takenAt"),
    hostname: texts("hostname"),
    unread: lists("unread", (entry, path) => readUnread(reader, entry, path)),
    hostState,
    rules: root["rules"] === undefined ? undefined : readRuleTexts(reader, root["rules"]),
    nftJson: root["nftJson"],
    links: lists("link", (entry, path) => readLink(reader, entry, path)),
    queues: lists("qdisc", readQueue),
    neighbours: lists("neigh", readNeighbour),
    forwarding: lists("fdb", readForwardingEntry),
    sockets: parseSockets(texts("sockets")),
    processes: lists("processes", readProcess),
    pods: lists("pods", (entry, path) => readPod(reader, entry, path)),
    conntrack: readConntrack(hostState.sysctls, texts("conntrackStat")),
    counters: {
      ...parsePairedCounters(texts("snmp")),
      ...parsePairedCounters(texts("netstat")),
      ...parseListedCounters(texts("snmp6")),
    },
    accounting: parseAccounting(texts("nfacct")),
    ipvsServices: parseIpvsServices(texts("ipvs")),
    blockingPolicies: parseBlockingPolicies(texts("xfrm")),
    versions: readVersions(reader, root["versions"]),
    readUdpFlows: () =>
      flows.flatMap((listing) =>
        listing.split("\n").flatMap((line) => {
          const entry = parseConntrackEntry(line);
          return entry === undefined ? [] : [entry];
        }),
      ),
  };
  reader.finish();
  return snapshot;
}

function refuseOtherVersions(root: JsonObject, file: string): void {
  const version = root["svcproxySnapshot"];
  if (version === SNAPSHOT_VERSION) return;
  const message = `Cannot read ${JSON.stringify(file)}`;
  if (typeof version === "number" && version > SNAPSHOT_VERSION)
    throw inputError(
      "HOST_STATE_INVALID",
      `${message}: it is a snapshot of version ${version}, and this svcproxy reads version ${SNAPSHOT_VERSION}`,
      { hint: "Read it with the svcproxy that wrote it, or a later one" },
    );
  throw inputError("HOST_STATE_INVALID", `${message}: it is not a snapshot of a host (svcproxySnapshot is missing)`, {
    hint: "Take one on the host: sudo svcproxy host-state --snapshot FILE",
  });
}

/** Every object of a list; what a tool leaves out as `{}` is passed over. */
function readEntries<T>(
  reader: JsonReader,
  { value, path }: { readonly value: unknown; readonly path: Path },
  read: (entry: JsonObject, path: Path) => T | undefined,
): readonly T[] {
  return reader.list(value, path).flatMap((item) => {
    const entry = reader.object(item.value, item.path);
    if (Object.keys(entry).length === 0) return [];
    const found = read(entry, item.path);
    return found === undefined ? [] : [found];
  });
}

function readUnread(reader: JsonReader, entry: JsonObject, path: Path): UnreadPart | undefined {
  const part = reader.text(entry["part"], [...path, "part"]);
  const because = reader.text(entry["because"], [...path, "because"]);
  return part === undefined || because === undefined ? undefined : { part, because };
}

function readRuleTexts(reader: JsonReader, value: unknown): RuleTexts {
  const rules = reader.object(value, ["rules"]);
  const texts = readEntries(reader, { value: rules["texts"], path: ["rules", "texts"] }, (entry, path) => {
    const file = reader.text(entry["file"], [...path, "file"]);
    const text = reader.text(entry["text"], [...path, "text"]);
    return file === undefined || text === undefined ? undefined : { file, text };
  });
  const unread = readEntries(reader, { value: rules["unread"], path: ["rules", "unread"] }, (entry, path) => {
    const table = reader.text(entry["table"], [...path, "table"]);
    const because = reader.text(entry["because"], [...path, "because"]);
    if (table === undefined || because === undefined) return undefined;
    const family = entry["family"] === 4 || entry["family"] === 6 ? entry["family"] : undefined;
    return { table, because, ...(family === undefined ? {} : { family }) } satisfies UnreadHostRules;
  });
  return { texts, unread };
}

function readLink(reader: JsonReader, entry: JsonObject, path: Path): LinkReading | undefined {
  const name = reader.text(entry["ifname"], [...path, "ifname"]);
  if (name === undefined) return undefined;
  const flags: readonly unknown[] = Array.isArray(entry["flags"]) ? entry["flags"] : [];
  const info = objectAt(entry, "linkinfo");
  const counts = objectAt(entry, "stats64");
  const [address, kind, master] = [textAt(entry, "address"), textAt(info, "info_kind"), textAt(entry, "master")];
  const { hairpin, isolated, state: portState } = objectAt(info, "info_slave_data");
  const data = objectAt(info, "info_data");
  const { id, port } = data;
  const local = parseIpAddress(textAt(data, "local") ?? textAt(data, "local6") ?? "");
  return {
    name,
    mtu: typeof entry["mtu"] === "number" ? entry["mtu"] : 0,
    state: textAt(entry, "operstate") ?? "UNKNOWN",
    isUp: flags.includes("UP"),
    hasCarrier: flags.includes("LOWER_UP"),
    usesArp: !flags.includes("NOARP"),
    ...(address === undefined ? {} : { address }),
    ...(kind === undefined ? {} : { kind }),
    ...(master === undefined ? {} : { master }),
    ...(typeof entry["link_netnsid"] === "number" ? { peerId: entry["link_netnsid"] } : {}),
    ...(typeof hairpin === "boolean" ? { hairpin } : {}),
    ...(typeof portState === "string" ? { portState } : {}),
    ...(typeof isolated === "boolean" ? { isIsolated: isolated } : {}),
    ...(kind === "vxlan" && typeof id === "number" && typeof port === "number"
      ? { vxlan: { id, port, ...(local === undefined ? {} : { local }) } }
      : {}),
    received: readCounts(objectAt(counts, "rx")),
    sent: readCounts(objectAt(counts, "tx")),
  };
}

function readCounts(counts: JsonObject): LinkCounts {
  return Object.fromEntries(
    Object.entries(counts).flatMap(([name, count]) => (typeof count === "number" ? [[name, count] as const] : [])),
  );
}

function readQueue(entry: JsonObject): QueueReading | undefined {
  const [device, kind, dropped] = [textAt(entry, "dev"), textAt(entry, "kind"), entry["drops"]];
  if (device === undefined || kind === undefined) return undefined;
  return { device, kind, dropped: typeof dropped === "number" ? dropped : 0 };
}

/** One that is no IP address, as of a tunnel's own, is passed over. */
function readNeighbour(entry: JsonObject): Neighbour | undefined {
  const address = parseIpAddress(textAt(entry, "dst") ?? "");
  const device = textAt(entry, "dev");
  if (address === undefined || device === undefined) return undefined;
  const mac = textAt(entry, "lladdr");
  const states: readonly unknown[] = Array.isArray(entry["state"]) ? entry["state"] : [];
  return {
    address,
    interface: device,
    ...(mac === undefined ? {} : { mac }),
    states: states.filter((state) => typeof state === "string"),
  };
}

function readForwardingEntry(entry: JsonObject): ForwardingEntry | undefined {
  const [mac, device] = [textAt(entry, "mac"), textAt(entry, "ifname")];
  if (mac === undefined || device === undefined) return undefined;
  const destination = parseIpAddress(textAt(entry, "dst") ?? "");
  const state = textAt(entry, "state");
  return {
    mac,
    interface: device,
    ...(destination === undefined ? {} : { destination }),
    ...(state === undefined || state === "" ? {} : { state }),
  };
}

function readConntrack(sysctls: Readonly<Record<string, string>>, statistics: string): ConntrackSummary {
  const [count, max] = ["count", "max"].map((name) => sysctls[`net.netfilter.nf_conntrack_${name}`]);
  return {
    ...(count === undefined ? {} : { count: Number(count) }),
    ...(max === undefined ? {} : { max: Number(max) }),
    statistics: parseConntrackStatistics(statistics),
  };
}

function readProcess(entry: JsonObject): RunningProcess | undefined {
  const [pid, command] = [entry["pid"], textAt(entry, "command")];
  return typeof pid === "number" && command !== undefined ? { pid, command } : undefined;
}

function readPod(reader: JsonReader, entry: JsonObject, path: Path): PodNamespace | undefined {
  const inode = reader.number(entry["inode"], [...path, "inode"]);
  const pid = reader.number(entry["pid"], [...path, "pid"]);
  if (inode === undefined || pid === undefined) return undefined;
  const addresses = reader.list(entry["addresses"], [...path, "addresses"]).flatMap(({ value }) => {
    const address = typeof value === "string" ? parseIpAddress(value) : undefined;
    return address === undefined ? [] : [address];
  });
  const listenPath = [...path, "listeners"];
  const listeners = readEntries(reader, { value: entry["listeners"], path: listenPath }, readPodListener);
  const overflows = entry["listenOverflows"];
  const listed = entry["routes"] === undefined ? undefined : reader.list(entry["routes"], [...path, "routes"]);
  const routes = listed?.flatMap(({ value }) => {
    const route = typeof value === "string" ? parseCidr(value) : undefined;
    return route === undefined ? [] : [route];
  });
  return {
    ...{ inode, pid, addresses, listeners, listenOverflows: typeof overflows === "number" ? overflows : 0 },
    ...(routes === undefined ? {} : { routes }),
    ...(typeof entry["linkId"] === "number" ? { linkId: entry["linkId"] } : {}),
  };
}

function readPodListener(entry: JsonObject): PodListener | undefined {
  const { protocol, port, waiting, backlog } = entry;
  if ((protocol !== "tcp" && protocol !== "udp") || typeof port !== "number") return undefined;
  const address = parseIpAddress(textAt(entry, "address") ?? "");
  return {
    ...{ protocol, port, waiting: typeof waiting === "number" ? waiting : 0 },
    ...(typeof backlog === "number" ? { backlog } : {}),
    ...(address === undefined ? {} : { address }),
  };
}

function readVersions(reader: JsonReader, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  return Object.fromEntries(
    Object.entries(reader.object(value, ["versions"])).flatMap(([tool, version]) =>
      typeof version === "string" ? [[tool, version] as const] : [],
    ),
  );
}

function objectAt(entry: JsonObject, key: string): JsonObject {
  const value = entry[key];
  return typeof value === "object" && value !== null && !Array.isArray(value) ? { ...value } : {};
}

function textAt(entry: JsonObject, key: string): string | undefined {
  const value = entry[key];
  return typeof value === "string" ? value : undefined;
}
