import { type Cidr, type Family, familyOf, type IpAddress, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { HostState, InterfaceAddress, NetworkInterface, Route } from "./host-state.ts";
import { DEFAULT_POLICY_RULES, localRoutes } from "./host-state-of.ts";
import { parseIpSets } from "./ip-set.ts";
import { type JsonObject, JsonReader, type Path } from "./json-reader.ts";
import { readPolicyRule } from "./read-policy-rule.ts";

/**
 * Reads what `svcproxy host-state` prints: the JSON of `ip -j` under `addr`, `route` and `rule`, the latter two by family
 * (`{ "4": [...], "6": [...] }`, or one list), `sysctls` by dotted name, `ipset` as `ipset save` prints it, and `recent`, the
 * addresses on each list, `xfrm` as `ip xfrm policy` and `nfacct` as `nfacct list` print it. Where no local table is given,
 * the addresses imply it.
 *
 * @param options.file what faults name
 * @throws InputError with every fault found
 */
export function readHostState(text: string, { file }: { readonly file: string }): HostState {
  const reader = new JsonReader(file);
  const state = readHostStateOf(reader, reader.parse(text));
  reader.finish();
  return state;
}

/** The same of JSON that holds more besides; what is wrong with it is left with `reader`. */
export function readHostStateOf(reader: JsonReader, root: JsonObject): HostState {
  const interfaces = reader.list(root["addr"], ["addr"]).map(({ value, path }) => readInterface(reader, value, path));
  const routes = reader.byFamily(root["route"], ["route"], (value, path, family) =>
    readRoute(reader, value, { path, family }),
  );
  const policyRules = reader.byFamily(root["rule"], ["rule"], (value, path, family) =>
    readPolicyRule(value, { family, fault: (key, what) => reader.fault([...path, ...key], what) }),
  );
  const known = routes.filter((route) => route !== undefined);
  const hasLocalTable = known.some(({ table }) => table === "local");
  const devices = interfaces.filter((device) => device !== undefined);
  return {
    interfaces: devices,
    routes: hasLocalTable ? known : [...localRoutes(devices), ...known],
    policyRules: policyRules.length === 0 ? DEFAULT_POLICY_RULES : policyRules.filter((rule) => rule !== undefined),
    sysctls: readSysctls(reader, root["sysctls"]),
    ...(root["ipset"] === undefined
      ? {}
      : { ipSets: parseIpSets(reader.text(root["ipset"], ["ipset"]) ?? "", { file: reader.file }) }),
    ...(root["recent"] === undefined ? {} : { recentLists: readRecent(reader, root["recent"]) }),
    ...(typeof root["xfrm"] === "string" ? { usesIpsec: root["xfrm"].trim() !== "" } : {}),
    ...(typeof root["nfacct"] === "string" ? { quotas: readQuotas(root["nfacct"]) } : {}),
  };
}

function optionalText(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function readInterface(reader: JsonReader, value: unknown, path: Path): NetworkInterface | undefined {
  const entry = reader.object(value, path);
  // `ip -j addr` prints an empty object for what it hides.
  if (Object.keys(entry).length === 0) return undefined;
  const name = optionalText(entry["ifname"]);
  if (name === undefined) return reader.fault([...path, "ifname"], "the interface's name is missing");
  const info = entry["linkinfo"] === undefined ? {} : reader.object(entry["linkinfo"], [...path, "linkinfo"]);
  const slave = info["info_slave_data"] === undefined ? {} : reader.object(info["info_slave_data"], path);
  const master = optionalText(entry["master"]);
  const linkKind = optionalText(info["info_kind"]);
  const hairpin = slave["hairpin"];
  const group = readGroup(entry["group"]);
  const flags: readonly unknown[] = Array.isArray(entry["flags"]) ? entry["flags"] : [];
  return {
    name,
    isLoopback: entry["link_type"] === "loopback" || flags.includes("LOOPBACK") || name === "lo",
    ...(master === undefined ? {} : { master }),
    ...(linkKind === undefined ? {} : { linkKind }),
    ...(typeof hairpin === "boolean" ? { hairpinMode: hairpin } : {}),
    ...(group === undefined ? {} : { group }),
    addresses: (entry["addr_info"] === undefined ? [] : reader.list(entry["addr_info"], [...path, "addr_info"]))
      .map((address) => readAddress(reader, address.value, address.path))
      .filter((address) => address !== undefined),
  };
}

/** `ip` prints the name of a group that its host has one for. */
function readGroup(value: unknown): number | string | undefined {
  if (typeof value === "number") return value;
  if (typeof value !== "string" || value === "default") return undefined;
  return /^\d+$/.test(value) ? Number(value) : value;
}

const SCOPES = ["global", "site", "link", "host"] as const;

function readAddress(reader: JsonReader, value: unknown, path: Path): InterfaceAddress | undefined {
  const entry = reader.object(value, path);
  if (Object.keys(entry).length === 0) return undefined;
  const address = parseIpAddress(optionalText(entry["local"]) ?? "");
  const prefixLength = entry["prefixlen"];
  if (address === undefined || typeof prefixLength !== "number")
    return reader.fault(path, "`local` and `prefixlen` make no address");
  const scope = SCOPES.find((one) => one === entry["scope"]);
  return {
    address,
    prefixLength,
    ...(scope === undefined ? {} : { scope }),
    ...(entry["secondary"] === true ? { isSecondary: true } : {}),
    // An optimistic address may be used before it is known to be the only one.
    ...(entry["tentative"] === true && entry["optimistic"] !== true ? { isTentative: true } : {}),
    ...(entry["deprecated"] === true || entry["optimistic"] === true ? { isDeprecated: true } : {}),
    ...(entry["temporary"] === true ? { isTemporary: true } : {}),
  };
}

const ROUTE_TYPES = [
  ...(["unicast", "local", "broadcast", "multicast", "anycast"] as const),
  ...(["blackhole", "unreachable", "prohibit", "throw"] as const),
];

interface EntryPlace {
  readonly path: Path;
  readonly family: Family | undefined;
}

function readRoute(reader: JsonReader, value: unknown, { path, family }: EntryPlace): Route | undefined {
  const entry = reader.object(value, path);
  if (isDead(entry)) return undefined;
  const gateway = readGateway(entry);
  const preferredSource = parseIpAddress(optionalText(entry["prefsrc"]) ?? "");
  const near = gateway ?? preferredSource;
  const destination = readDestination(entry["dst"], family ?? (near === undefined ? 4 : familyOf(near)));
  if (destination === undefined)
    return reader.fault([...path, "dst"], `${JSON.stringify(entry["dst"])} is not a destination`);
  const typeName = optionalText(entry["type"]) ?? "unicast";
  const type = ROUTE_TYPES.find((one) => one === typeName);
  if (type === undefined) return reader.fault([...path, "type"], `${JSON.stringify(typeName)} is not a type of route`);
  const device = optionalText(entry["dev"]);
  const metric = entry["metric"];
  const hops: readonly unknown[] = Array.isArray(entry["nexthops"]) ? entry["nexthops"] : [];
  return {
    destination,
    type,
    ...(device === undefined ? {} : { interface: device }),
    ...(gateway === undefined ? {} : { gateway }),
    ...(preferredSource === undefined ? {} : { preferredSource }),
    metric: typeof metric === "number" ? metric : 0,
    table: optionalText(entry["table"]) ?? "main",
    ...(hops.length > 1
      ? { unknown: `${hops.length} next hops` }
      : entry["encap"] === undefined
        ? {}
        : { unknown: "an encapsulation" }),
  };
}

/** A gateway of the other family stands under `via`. */
function readGateway(entry: JsonObject): IpAddress | undefined {
  const via = entry["via"];
  const host = typeof via === "object" && via !== null && "host" in via ? optionalText(via.host) : undefined;
  return parseIpAddress(optionalText(entry["gateway"]) ?? host ?? "");
}

function isDead(entry: JsonObject): boolean {
  const flags: readonly unknown[] = Array.isArray(entry["flags"]) ? entry["flags"] : [];
  return flags.includes("dead");
}

function readDestination(value: unknown, family: Family): Cidr | undefined {
  if (typeof value !== "string") return undefined;
  return parseCidr(value === "default" ? (family === 4 ? "0.0.0.0/0" : "::/0") : value);
}

function readSysctls(reader: JsonReader, value: unknown): Readonly<Record<string, string>> {
  if (value === undefined) return {};
  const entries = Object.entries(reader.object(value, ["sysctls"]));
  return Object.fromEntries(
    entries.map(([name, setting]) => [
      name,
      typeof setting === "number" ? String(setting) : (optionalText(setting) ?? ""),
    ]),
  );
}

function readRecent(reader: JsonReader, value: unknown): Readonly<Record<string, readonly IpAddress[]>> {
  const lists = Object.entries(reader.object(value, ["recent"]));
  return Object.fromEntries(
    lists.map(([name, addresses]) => [
      name,
      reader
        .list(addresses, ["recent", name])
        .map(
          (entry) =>
            parseIpAddress(optionalText(entry.value) ?? "") ?? reader.fault(entry.path, "it is not an address"),
        )
        .filter((address) => address !== undefined),
    ]),
  );
}

/** `{ pkts = 0, bytes = 0, quota = 10, mode = packet, overquota = no } = name;` */
function readQuotas(text: string): readonly string[] {
  return [...text.matchAll(/^\{[^}]*\bquota = [^}]*\} = (.+);$/gm)].flatMap(([, name]) => name ?? []);
}
