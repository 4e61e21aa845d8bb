import {
  type IpAddress,
  parseCidr,
  parseIpAddress,
  parsePort,
  parseSocketAddress,
  type SocketAddress,
} from "./address.ts";

/** What was asked for where `text` was found. */
export type AddressKind = "address" | "cidr" | "socket address";

const EXAMPLES: Readonly<Record<AddressKind, string>> = {
  address: "Write an IPv4 address like 10.100.100.1 or an IPv6 address like fd00::1",
  cidr: "Write a block like 10.5.75.0/24 or fd00:5::/64",
  "socket address": "Write ip:port like 10.5.75.2:3000, or [v6]:port like [fd00::2]:3000",
};

/** No slip of the pen in an address makes it so long, and the patterns that find slips are not made for more. */
const MAX_SLIP = 200;

/** How to mend a text that is not what was asked for: names the slip where it is a known one. */
export function explainAddress(text: string, kind: AddressKind): string {
  if (text.length > MAX_SLIP) return EXAMPLES[kind];
  return slip(text.trim(), kind) ?? (text === text.trim() ? EXAMPLES[kind] : "Take away the blanks around it");
}

function slip(text: string, kind: AddressKind): string | undefined {
  return (
    separatorSlip(text, kind) ??
    leadingZeroSlip(text) ??
    ipv6Slip(text, kind) ??
    otherKindSlip(text, kind) ??
    (/^[a-z][a-z0-9-]*(\.[a-z0-9-]+)+(:\d+)?$/i.test(text)
      ? `Names are not looked up; ${lowerFirst(EXAMPLES[kind])}`
      : undefined)
  );
}

/** `10.100.100.1.7070`, or a full-width colon: a port was meant. */
function separatorSlip(text: string, kind: AddressKind): string | undefined {
  const [, address = "", port = ""] = /^((?:\d+\.){3}\d+)[.：;,](\d+)$/.exec(text) ?? [];
  if (parseIpAddress(address) === undefined || parsePort(Number(port)) === undefined) return undefined;
  const meant = `${address}:${port}`;
  if (kind === "socket address") return `A colon comes before the port: "${meant}"`;
  return `Was a colon meant, ${meant}? Here stands the address alone, ${address}; the port has a key of its own`;
}

/** inet_aton takes 010 for 8, people for 10: neither is guessed. */
function leadingZeroSlip(text: string): string | undefined {
  if (!/^\d+(\.\d+){3}(?=$|[/:])/.test(text) || !/(^|\.)0\d/.test(text)) return undefined;
  return `Without leading zeros: ${text.replace(/(^|\.)0+(?=\d)/g, "$1")}`;
}

/** The bits before the IPv4 address in its IPv6 form. */
const MAPPED_BITS = 96;

function ipv6Slip(text: string, kind: AddressKind): string | undefined {
  if (/%/.test(text))
    return "An address of one link (with %interface) cannot be reached from other hosts; use a routable one";
  const mapped = /^\[?::ffff:(\d+(?:\.\d+){3})\]?(:\d+)?$/i.exec(text);
  if (mapped !== null) return `Write the IPv4 address itself: ${mapped[1]}${mapped[2] ?? ""}`;
  const [, block = "", bits = ""] = /^::ffff:(\d+(?:\.\d+){3})\/(\d+)$/i.exec(text) ?? [];
  if (block !== "" && Number(bits) >= MAPPED_BITS)
    return `Write the IPv4 block itself: ${block}/${Number(bits) - MAPPED_BITS}`;
  const bracketed = /^\[(.*)\]$/.exec(text)?.[1];
  if (bracketed !== undefined && parseIpAddress(bracketed) !== undefined) {
    return kind === "address" ? `Without brackets: ${bracketed}` : undefined;
  }
  const [, head = "", port = ""] = /^(.*:.*):(\d+)$/.exec(text) ?? [];
  return kind === "socket address" && parseIpAddress(head) !== undefined
    ? `IPv6 takes brackets: "[${head}]:${port}"`
    : undefined;
}

function otherKindSlip(text: string, kind: AddressKind): string | undefined {
  if (kind !== "socket address") {
    const socket = parseSocketAddress(text);
    if (socket !== undefined) return `Here stands the address alone: ${socket.address}`;
  }
  if (kind !== "cidr" && text.includes("/") && parseCidr(text) !== undefined) {
    return `That is a block of addresses; give one of them, such as ${text.slice(0, text.indexOf("/"))}`;
  }
  if (kind === "cidr" && parseIpAddress(text) !== undefined)
    return `Give its length too: ${text}/${text.includes(":") ? 128 : 32}`;
  return undefined;
}

function lowerFirst(text: string): string {
  return text.slice(0, 1).toLowerCase() + text.slice(1);
}

/**
 * The address and port that somebody may have meant by an IPv6 address: `fd00::1:80` is one of eight groups, and reads like
 * port 80 of `fd00::1`. Honest addresses look like that too, so it takes a second sign to doubt one.
 *
 * @returns undefined where the last group is not a port, or the rest not an address
 */
export function swallowedPort(address: IpAddress): SocketAddress | undefined {
  const colon = address.lastIndexOf(":");
  const digits = address.slice(colon + 1);
  if (colon < 0 || !/^[1-9]\d*$/.test(digits)) return undefined;
  const head = parseIpAddress(address.slice(0, colon));
  const port = parsePort(Number(digits));
  return head === undefined || port === undefined ? undefined : { address: head, port };
}

/** How to write what was meant. */
export function portHint({ address, port }: SocketAddress): string {
  return `If port ${port} is meant, write "[${address}]:${port}"`;
}
