import type { Cidr, Family, IpAddress } from "@svcproxy/topology";
import { addressBits, addressWidth, cidrOf, familyOf, parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { NumberRange } from "../match.ts";
import type { NatRange } from "../target.ts";
import { RuleFault } from "./rule-fault.ts";

/** The largest unsigned 32-bit number: every bit of a mark. */
export const ALL_BITS = 0xffffffff;

/**
 * Reads a number as C's strtoul with base 0 does: decimal, `0x` hexadecimal, or octal behind a `0`.
 *
 * @returns undefined where the text is not a number from 0 to `max`
 */
export function readNumber(text: string, max = ALL_BITS): number | undefined {
  const value = /^0[xX][0-9a-fA-F]+$/.test(text)
    ? Number.parseInt(text, 16)
    : /^0[0-7]+$/.test(text)
      ? Number.parseInt(text, 8)
      : /^(0|[1-9]\d*)$/.test(text)
        ? Number(text)
        : Number.NaN;
  return value <= max ? value : undefined;
}

/** `value[/mask]`; without a mask every bit counts. */
export function readMasked(text: string): { value: number; mask: number } | undefined {
  const slash = text.indexOf("/");
  const value = readNumber(slash < 0 ? text : text.slice(0, slash));
  const mask = slash < 0 ? ALL_BITS : readNumber(text.slice(slash + 1));
  return value === undefined || mask === undefined ? undefined : { value, mask };
}

/**
 * `port`, `from:to`, `:to`, `from:` (with another separator where `-` stands). A range that runs backwards is read as it
 * stands: the kernel takes it as one in which no port is.
 *
 * @returns undefined for the name of a service that is not known
 * @throws RuleFault for a number that is not a port
 */
export function readPortRange(text: string, separator: ":" | "-" = ":"): NumberRange | undefined {
  const middle = text.indexOf(separator);
  if (middle < 0) {
    const port = readPort(text);
    return port === undefined ? undefined : { from: port, to: port };
  }
  const from = middle === 0 ? 0 : readPort(text.slice(0, middle));
  const to = middle === text.length - 1 ? 65535 : readPort(text.slice(middle + 1));
  if (from === undefined || to === undefined) return undefined;
  return { from, to };
}

function readPort(text: string): number | undefined {
  if (!/^\d+$/.test(text)) return SERVICES.get(text);
  const port = Number(text);
  if (port > 65535) throw new RuleFault(`port ${text} is above 65535`);
  return port;
}

/** Services that people write by name, as /etc/services has them everywhere; iptables-save prints numbers. */
const SERVICES: ReadonlyMap<string, number> = new Map([
  ...([
    ["ftp-data", 20],
    ["ftp", 21],
    ["ssh", 22],
    ["telnet", 23],
    ["smtp", 25],
    ["domain", 53],
  ] as const),
  ...([
    ["bootps", 67],
    ["bootpc", 68],
    ["tftp", 69],
    ["http", 80],
    ["kerberos", 88],
    ["pop3", 110],
  ] as const),
  ...([
    ["sunrpc", 111],
    ["ntp", 123],
    ["imap2", 143],
    ["snmp", 161],
    ["bgp", 179],
    ["ldap", 389],
  ] as const),
  ...([
    ["https", 443],
    ["microsoft-ds", 445],
    ["isakmp", 500],
    ["syslog", 514],
    ["ldaps", 636],
  ] as const),
  ...([
    ["imaps", 993],
    ["pop3s", 995],
    ["openvpn", 1194],
    ["nfs", 2049],
    ["mysql", 3306],
  ] as const),
  ...([
    ["ipsec-nat-t", 4500],
    ["postgresql", 5432],
    ["mdns", 5353],
    ["http-alt", 8080],
  ] as const),
]);

/** `from[:to]` of plain numbers; `from:` and `:to` reach to the ends. */
export function readNumberRange(text: string, max = ALL_BITS): NumberRange | undefined {
  const parts = text.split(":");
  if (parts.length > 2) return undefined;
  const [first = "", second = first] = parts;
  const from = first === "" && parts.length === 2 ? 0 : readNumber(first, max);
  const to = second === "" && parts.length === 2 ? max : readNumber(second, max);
  return from === undefined || to === undefined || from > to ? undefined : { from, to };
}

/**
 * `address`, `address/length` or `address/netmask` of this family.
 *
 * @returns undefined for a host's name and for a mask with holes, which no block can tell
 */
export function readNetwork(text: string, family: Family): Cidr | undefined {
  const cidr = parseCidr(text) ?? readNetmasked(text);
  if (cidr === undefined) return undefined;
  if (familyOf(cidr.address) !== family) throw new RuleFault(`${JSON.stringify(text)} is not an IPv${family} address`);
  return cidr;
}

function readNetmasked(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseIpAddress(slash < 0 ? "" : text.slice(0, slash));
  const mask = parseIpAddress(text.slice(slash + 1));
  if (address === undefined || mask === undefined || familyOf(address) !== familyOf(mask)) return undefined;
  const width = BigInt(addressWidth(familyOf(address)));
  const hostBits = ((1n << width) - 1n) ^ addressBits(mask);
  if ((hostBits & (hostBits + 1n)) !== 0n) return undefined;
  return cidrOf(address, Number(width) - hostBits.toString(2).replace(/^0$/, "").length);
}

/** `address[-address]`; the kernel takes a range that runs backwards as one in which no address is. */
export function readAddressRange(text: string): { from: IpAddress; to: IpAddress } | undefined {
  const dash = text.indexOf("-");
  const from = parseIpAddress(dash < 0 ? text : text.slice(0, dash));
  const to = dash < 0 ? from : parseIpAddress(text.slice(dash + 1));
  if (from === undefined || to === undefined || familyOf(from) !== familyOf(to)) return undefined;
  return { from, to };
}

/** Ports to choose one from. @returns undefined where nobody can: for a range that runs backwards too */
export function readPortChoice(text: string): NumberRange | undefined {
  const range = readPortRange(text, "-");
  return range === undefined || range.from > range.to ? undefined : range;
}

/** `[address[-address]][:port[-port]]`, IPv6 addresses in brackets where ports follow. */
export function readNatTarget(text: string): Pick<NatRange, "addresses" | "ports"> | undefined {
  const parts =
    /^\[([^\]]*)\](?::(.*))?$/.exec(text) ?? // [v6]:port
    /^([^:]*):([^:]*)$/.exec(text) ?? // v4:port
    /^(.*)$/.exec(text);
  const addressText = parts?.[1] ?? "";
  const portText = parts?.[2];
  const addresses = addressText === "" ? undefined : readAddressRange(addressText);
  const ports = portText === undefined ? undefined : readPortChoice(portText);
  // From what runs backwards nobody can say what the kernel chooses.
  if (addresses !== undefined && addressBits(addresses.from) > addressBits(addresses.to)) return undefined;
  if ((addressText !== "" && addresses === undefined) || (portText !== undefined && ports === undefined))
    return undefined;
  return { ...(addresses === undefined ? {} : { addresses }), ...(ports === undefined ? {} : { ports }) };
}
