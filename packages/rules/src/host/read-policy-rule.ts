import { type Cidr, cidrOf, type Family, familyOf, parseCidr } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import { protocolName } from "../text/protocol-names.ts";
import type { PolicyAction, PolicyRule } from "./host-state.ts";

type JsonObject = Readonly<Record<string, unknown>>;

interface Reading {
  /** Of the listing; undefined: of both. */
  readonly family: Family | undefined;
  fault(key: readonly string[], what: string): undefined;
}

/** Keys of `ip -j rule` that say for which packets a rule is. */
const SELECTORS: readonly string[] = [
  ...["not", "src", "srclen", "dst", "dstlen", "fwmark", "fwmask", "iif", "oif", "tos", "dscp", "ipproto"],
  ...["sport", "sport_start", "sport_end", "dport", "dport_start", "dport_end"],
];

/** Those that say what becomes of the packets, and those that say nothing of either. */
const ACTIONS: readonly string[] = [
  ...["table", "suppress_prefixlen", "suppress_ifgroup", "goto", "unresolved", "action", "nop", "masquerade", "nat"],
  ...["priority", "protocol", "flow_to", "flow_from", "iif_detached", "oif_detached"],
];

/** Reads one entry of `ip -j rule`. What is not known of it is kept as such: nothing is passed over in silence. */
export function readPolicyRule(value: unknown, { family, fault }: Reading): PolicyRule | undefined {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fault([], "it is not an object");
  const entry: JsonObject = { ...value };
  const { priority } = entry;
  if (typeof priority !== "number") return fault(["priority"], "the rule's priority is missing");
  const from = readRuleAddress(entry["src"], entry["srclen"]);
  const to = readRuleAddress(entry["dst"], entry["dstlen"]);
  const near = from ?? to;
  const inInterface = textOf(entry["iif"]);
  const outInterface = textOf(entry["oif"]);
  const mark = entry["fwmark"] === undefined ? undefined : readMark(entry["fwmark"], entry["fwmask"]);
  const ofFamily = family ?? (near === undefined ? 4 : familyOf(near.address));
  const tos = entry["tos"] === undefined ? readDscp(entry["dscp"]) : readTypeOfService(entry["tos"], ofFamily);
  const ipproto = textOf(entry["ipproto"]);
  const protocol = ipproto === undefined ? undefined : protocolName(ipproto);
  const sourcePorts = readPorts(entry, "sport");
  const destinationPorts = readPorts(entry, "dport");
  const unread = [
    ...Object.keys(entry).filter((key) => !SELECTORS.includes(key) && !ACTIONS.includes(key)),
    ...(entry["fwmark"] !== undefined && mark === undefined ? ["fwmark"] : []),
    ...(tos === undefined ? ["tos", "dscp"].filter((key) => entry[key] !== undefined) : []),
    ...(ipproto !== undefined && protocol === undefined ? ["ipproto"] : []),
  ];
  const action = readAction(entry);
  const unknown = [
    ...unread.map((key) => describeEntry(entry, key)),
    ...(action === undefined ? ["an unknown action"] : []),
  ];
  return {
    family: ofFamily,
    priority,
    ...("not" in entry ? { not: true } : {}),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(mark === undefined ? {} : { mark }),
    ...(inInterface === undefined ? {} : { inInterface }),
    ...(outInterface === undefined ? {} : { outInterface }),
    ...(tos === undefined ? {} : { tos }),
    ...(protocol === undefined ? {} : { protocol }),
    ...(sourcePorts === undefined ? {} : { sourcePorts }),
    ...(destinationPorts === undefined ? {} : { destinationPorts }),
    ...(unknown.length === 0 ? {} : { unknown: unknown.join(" ") }),
    action: action ?? { kind: "unreachable" },
  };
}

function describeEntry(entry: JsonObject, key: string): string {
  const value = entry[key];
  return value === null || value === undefined
    ? key
    : `${key} ${typeof value === "object" ? JSON.stringify(value) : String(value)}`;
}

function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

function readRuleAddress(value: unknown, length: unknown): Cidr | undefined {
  const text = textOf(value);
  if (text === undefined || text === "all") return undefined;
  const cidr = parseCidr(text);
  return cidr !== undefined && typeof length === "number" ? cidrOf(cidr.address, length) : cidr;
}

function readMark(value: unknown, mask: unknown): { value: number; mask: number } | undefined {
  const number = (text: unknown) => (typeof text === "number" ? text : Number(text));
  const mark = number(value);
  if (!Number.isInteger(mark)) return undefined;
  return { value: mark, mask: mask === undefined ? 0xffffffff : number(mask) };
}

/** The names that iproute2 brings along. @see rt_dsfield */
const SERVICE_TYPES: Readonly<Record<string, number>> = {
  ...{ default: 0, CS1: 0x20, CS2: 0x40, CS3: 0x60, CS4: 0x80, CS5: 0xa0, CS6: 0xc0, CS7: 0xe0, EF: 0xb8 },
  ...{ AF11: 0x28, AF12: 0x30, AF13: 0x38, AF21: 0x48, AF22: 0x50, AF23: 0x58 },
  ...{ AF31: 0x68, AF32: 0x70, AF33: 0x78, AF41: 0x88, AF42: 0x90, AF43: 0x98 },
};

/** Of the byte IPv4 compares what was the type of service before DSCP came. @see linux net/ipv4/fib_rules.c */
const COMPARED: Readonly<Record<Family, number>> = { 4: 0x1c, 6: 0xfc };

function readTypeOfService(value: unknown, family: Family): PolicyRule["tos"] {
  const text = String(value);
  const number = SERVICE_TYPES[text] ?? (/^0x[0-9a-f]{1,2}$/i.test(text) ? Number(text) : undefined);
  return number === undefined ? undefined : { value: number, mask: COMPARED[family] };
}

/** The six bits alone, as newer kernels have them. */
function readDscp(value: unknown): PolicyRule["tos"] {
  if (value === undefined) return undefined;
  const text = String(value);
  const number = SERVICE_TYPES[text] ?? (/^(0x[0-9a-f]+|\d+)$/i.test(text) ? (Number(text) << 2) & 0xff : undefined);
  return number === undefined ? undefined : { value: number, mask: 0xfc };
}

function readPorts(entry: JsonObject, key: "sport" | "dport"): NumberRange | undefined {
  const [only, from, to] = [entry[key], entry[`${key}_start`], entry[`${key}_end`]];
  if (typeof only === "number") return { from: only, to: only };
  return typeof from === "number" && typeof to === "number" ? { from, to } : undefined;
}

const REFUSALS = ["unreachable", "prohibit", "blackhole"] as const;

/** @returns undefined where it is not known what the rule does */
function readAction(entry: JsonObject): PolicyAction | undefined {
  if ("nop" in entry || entry["action"] === "nop") return { kind: "nop" };
  if (typeof entry["goto"] === "number") return { kind: "goto", priority: entry["goto"] };
  const refusal = REFUSALS.find((kind) => kind === entry["action"]);
  if (refusal !== undefined) return { kind: refusal };
  const table = textOf(entry["table"]);
  if (table === undefined || entry["action"] !== undefined) return undefined;
  const length = entry["suppress_prefixlen"];
  const group = entry["suppress_ifgroup"];
  return {
    kind: "table",
    table,
    ...(typeof length === "number" ? { suppressPrefixLength: length } : {}),
    ...(group === undefined ? {} : { suppressUnknown: `suppress_ifgroup ${String(group)}` }),
  };
}
