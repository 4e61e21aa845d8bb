import { addressBits, addressFromBits, addressWidth, type Family, familyOf, parseIpAddress } from "@svcproxy/topology";
import type { Datum, DatumPart, NftExpression, NftSet } from "./nft-rule-set.ts";
import { SYMBOLS, TEXT_TYPES } from "./symbols.ts";

/** nft's name for a value's type where we do not know it: its values are kept as numbers and texts all the same. */
export const UNKNOWN_TYPE = "unknown";

const ADDRESS_FAMILY: ReadonlyMap<string, Family> = new Map([
  ["ipv4_addr", 4],
  ["ipv6_addr", 6],
]);

/**
 * Reads a value, a prefix or a range as nft prints it.
 *
 * @param type nft's name of the type
 * @returns undefined where the text is none of these
 */
export function readPart(type: string, text: string): DatumPart | undefined {
  const family = ADDRESS_FAMILY.get(type);
  if (family !== undefined) return readAddresses(text, family);
  if (TEXT_TYPES.has(type)) return text;
  if (type === UNKNOWN_TYPE) {
    const addresses = /^[0-9a-f.:/-]+$/.test(text) ? (readAddresses(text, 4) ?? readAddresses(text, 6)) : undefined;
    if (addresses !== undefined) return addresses;
  }
  const whole = readDatum(type, text);
  if (typeof whole === "number") return whole;
  // Names have dashes too, so a range is what has a value on either side of one.
  for (let dash = text.indexOf("-"); dash > 0; dash = text.indexOf("-", dash + 1)) {
    const from = readDatum(type, text.slice(0, dash));
    const to = readDatum(type, text.slice(dash + 1));
    if (typeof from === "number" && typeof to === "number") return { from, to };
  }
  return whole;
}

/** One value of a type that is not an address. */
function readDatum(type: string, text: string): Datum {
  if (type === "classid") return readClassId(text) ?? text;
  const known = SYMBOLS[type]?.get(text);
  return known ?? readNumber(text) ?? text;
}

const MAX_SAFE_DIGITS = 15;

function readNumber(text: string): number | undefined {
  if (text.length > MAX_SAFE_DIGITS + 2) return undefined;
  return /^(\d+|0x[0-9a-f]+)$/.test(text) ? Number(text) : undefined;
}

/** `1:2`, both in hex; a priority is a traffic class to nft. */
function readClassId(text: string): number | undefined {
  if (text === "none") return 0;
  if (text === "root") return 0xffffffff;
  const parts = /^([0-9a-f]{0,4}):([0-9a-f]{0,4})$/.exec(text);
  if (parts === null) return readNumber(text);
  const [, major = "", minor = ""] = parts;
  return Number.parseInt(major || "0", 16) * 0x10000 + Number.parseInt(minor || "0", 16);
}

function readAddresses(text: string, family: Family): DatumPart | undefined {
  const single = readAddress(text, family);
  if (single !== undefined) return single;
  const slash = text.indexOf("/");
  if (slash > 0) return readPrefix(text.slice(0, slash), text.slice(slash + 1), family);
  const dash = text.indexOf("-");
  const from = readAddress(text.slice(0, Math.max(0, dash)), family);
  const to = readAddress(text.slice(dash + 1), family);
  return from === undefined || to === undefined ? undefined : { from, to };
}

function readAddress(text: string, family: Family): Datum | undefined {
  const address = parseIpAddress(text);
  return address !== undefined && familyOf(address) === family ? address : undefined;
}

/** A block of addresses as the range that it is; one of a single address as that. */
export function readPrefix(text: string, lengthText: string, family: Family): DatumPart | undefined {
  const address = parseIpAddress(text);
  const length = Number(lengthText);
  const width = addressWidth(family);
  if (address === undefined || familyOf(address) !== family) return undefined;
  if (!/^\d{1,3}$/.test(lengthText) || length > width) return undefined;
  if (length === width) return address;
  const hostBits = (1n << BigInt(width - length)) - 1n;
  const first = addressBits(address) & ~hostBits;
  return { from: addressFromBits(family, first), to: addressFromBits(family, first | hostBits) };
}

/** Types of header fields; what is not listed is a number or a name. */
const FIELD_TYPES: Readonly<Record<string, string>> = {
  ...{ "ip saddr": "ipv4_addr", "ip daddr": "ipv4_addr", "ip protocol": "inet_proto", "ip dscp": "dscp" },
  ...{ "ip6 saddr": "ipv6_addr", "ip6 daddr": "ipv6_addr", "ip6 nexthdr": "inet_proto", "ip6 dscp": "dscp" },
  ...{ "tcp flags": "tcp_flag", "icmp type": "icmp_type", "icmp code": "icmp_code" },
  ...{ "icmpv6 type": "icmpv6_type", "icmpv6 code": "icmpv6_code", "ether type": "ether_type" },
  ...{ "ether saddr": "ether_addr", "ether daddr": "ether_addr", "vlan type": "ether_type" },
  ...{ "icmpv6 taddr": "ipv6_addr", "icmpv6 daddr": "ipv6_addr" },
};

const META_TYPES: Readonly<Record<string, string>> = {
  ...{ iif: "iface_index", oif: "iface_index", iifname: "ifname", oifname: "ifname", sdif: "iface_index" },
  ...{ ibrname: "ifname", obrname: "ifname", sdifname: "ifname", iifkind: "ifname", oifkind: "ifname" },
  ...{ mark: "mark", priority: "classid", l4proto: "inet_proto", nfproto: "nf_proto", protocol: "ether_type" },
  ...{ pkttype: "pkt_type", iiftype: "iface_type", oiftype: "iface_type", iifgroup: "devgroup", oifgroup: "devgroup" },
  ...{ rtclassid: "realm", hour: "hour", day: "day", time: "time", ipsec: "boolean" },
};

const CT_TYPES: Readonly<Record<string, string>> = {
  ...{ state: "ct_state", status: "ct_status", mark: "mark", direction: "ct_dir", l3proto: "nf_proto" },
  ...{ protocol: "inet_proto", "ip saddr": "ipv4_addr", "ip daddr": "ipv4_addr", "ip6 saddr": "ipv6_addr" },
  ...{ "ip6 daddr": "ipv6_addr", "proto-src": "inet_service", "proto-dst": "inet_service", helper: "ct_helper" },
  ...{ expiration: "time", label: "ct_label", event: "ct_event" },
};

/** nft's names for the types of an expression's parts. `setOf` knows the table's maps. */
export function typesOf(
  expression: NftExpression,
  setOf: (name: string) => Pick<NftSet, "dataTypes"> | undefined,
): readonly string[] {
  switch (expression.kind) {
    case "payload": {
      const { header, field } = expression;
      if (field === "sport" || field === "dport") return ["inet_service"];
      return [FIELD_TYPES[`${header} ${field}`] ?? UNKNOWN_TYPE];
    }
    case "meta":
      return [META_TYPES[expression.key] ?? UNKNOWN_TYPE];
    case "ct":
      return [CT_TYPES[expression.key] ?? UNKNOWN_TYPE];
    case "fib":
      return [{ type: "fib_addrtype", oif: "iface_index", oifname: "ifname" }[expression.result] ?? UNKNOWN_TYPE];
    case "bitwise":
      return typesOf(expression.left, setOf);
    case "concat":
      return expression.parts.flatMap((part) => typesOf(part, setOf));
    case "lookup":
      return expression.map.kind === "named"
        ? (setOf(expression.map.name)?.dataTypes ?? [UNKNOWN_TYPE])
        : [UNKNOWN_TYPE];
    default:
      return [UNKNOWN_TYPE];
  }
}
