import { type Machine, refusalOf, runIp } from "@svcproxy/host";
import { addressWidth, type Family } from "@svcproxy/topology";
import { parseRows, type Row, text } from "./ip-json.ts";
import { FIRST_TABLE, PREFERENCE } from "./isolation.ts";
import { VIP_MARK } from "./vip-mark.ts";

/** What the kernel has of `Isolation`, in the same words, and where it looks up local addresses. */
export interface IsolationInKernel {
  readonly routes: ReadonlySet<string>;
  readonly rules: ReadonlySet<string>;
  /** Preferences of the rules that look up local addresses for every packet. */
  readonly localAt: readonly number[];
}

/** `reason` where the kernel or the `ip` command cannot tell. */
export async function readIsolation(
  machine: Machine,
  family: Family,
): Promise<IsolationInKernel | { readonly reason: string }> {
  const rules = await runIp(machine, [`-${family}`, "-N", "-json", "rule", "show"]);
  if (rules.kind !== "done") return { reason: refusalOf(rules).text };
  const mark = ["table", "all", "proto", VIP_MARK.routeProtocol];
  const routes = await runIp(machine, [`-${family}`, "-N", "-json", "route", "show", ...mark]);
  if (routes.kind !== "done") return { reason: refusalOf(routes).text };
  const rows = parseRows(rules.stdout);
  return {
    rules: new Set(rows.filter(isOurs).map((row) => ruleOf(row, family))),
    routes: new Set(parseRows(routes.stdout).flatMap((row) => routeOf(row, family))),
    localAt: rows.filter(looksUpLocal).map((row) => Number(row["priority"])),
  };
}

export function hasIsolation({ rules, routes }: IsolationInKernel): boolean {
  return rules.size > 0 || routes.size > 0;
}

/** Whether packets to VIPs meet our rules before the host's own. */
export function isInForce({ rules, localAt }: IsolationInKernel): boolean {
  return rules.size > 0 && !localAt.some((preference) => preference < PREFERENCE.local);
}

function isOurs(row: Row): boolean {
  return text(row["protocol"]) === VIP_MARK.routeProtocol;
}

const LOCAL_TABLES: ReadonlySet<string> = new Set(["255", "local"]);
/** What a rule says of itself, not of packets. */
const NO_SELECTORS: ReadonlySet<string> = new Set(["priority", "src", "table", "protocol"]);

function looksUpLocal(row: Row): boolean {
  const isForAll = Object.keys(row).every((key) => NO_SELECTORS.has(key)) && text(row["src"]) === "all";
  return isForAll && LOCAL_TABLES.has(text(row["table"]));
}

function ruleOf(row: Row, family: Family): string {
  const block = (keyword: "from" | "to", address: unknown, length: unknown) =>
    typeof address === "string" && address !== "all"
      ? [keyword, `${address}/${typeof length === "number" ? length : addressWidth(family)}`]
      : [];
  const table = text(row["table"]);
  return [
    ...["pref", String(row["priority"])],
    ...block("to", row["dst"], row["dstlen"]),
    ...block("from", row["src"], row["srclen"]),
    ...(row["iif"] === undefined ? [] : ["iif", text(row["iif"])]),
    ...(row["ipproto"] === undefined ? [] : ["ipproto", protocolName(text(row["ipproto"]))]),
    ...ports(row, "sport"),
    ...ports(row, "dport"),
    ...(row["goto"] === undefined ? [] : ["goto", String(row["goto"])]),
    ...(table === "" ? [] : ["lookup", LOCAL_TABLES.has(table) ? "local" : table]),
    ...["protocol", text(row["protocol"])],
  ].join(" ");
}

function ports(row: Row, end: "sport" | "dport"): readonly string[] {
  const first = row[`${end}_start`];
  if (first !== undefined) return [end, `${first}-${row[`${end}_end`]}`];
  return row[end] === undefined ? [] : [end, String(row[end])];
}

const PROTOCOL_NAMES: Readonly<Record<string, string>> = { 1: "icmp", 6: "tcp", 17: "udp", 58: "ipv6-icmp" };

/** `ip -N` has `ipproto-6`. */
function protocolName(printed: string): string {
  const [number = ""] = /\d+$/.exec(printed) ?? [];
  return PROTOCOL_NAMES[number] ?? printed;
}

const ROUTE_TYPES: Readonly<Record<string, string>> = { 2: "local", 7: "unreachable" };

/** Of our own tables; ranges are in the host's. */
function routeOf(row: Row, family: Family): readonly string[] {
  const table = text(row["table"]);
  const printed = text(row["type"]);
  const type = ROUTE_TYPES[printed] ?? printed;
  if (!(Number(table) >= FIRST_TABLE)) return [];
  const destination = text(row["dst"]);
  const block = destination.includes("/") ? destination : `${destination}/${addressWidth(family)}`;
  const device = type === "local" ? ` dev ${text(row["dev"])}` : "";
  return [`${type} ${block}${device} table ${table} proto ${VIP_MARK.routeProtocol}`];
}
