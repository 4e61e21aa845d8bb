declare const brand: unique symbol;

export type Family = 4 | 6;

/** An IP address in canonical text: dotted quad, or RFC 5952. Two equal addresses are equal strings. */
export type IpAddress = string & { readonly [brand]: "IpAddress" };

/** A transport port, 1–65535. */
export type Port = number & { readonly [brand]: "Port" };

/** A block of addresses; `address` has no bit set past the prefix. */
export interface Cidr {
  readonly address: IpAddress;
  /** Number of leading bits that count, 0–32 or 0–128. */
  readonly prefixLength: number;
}

export interface SocketAddress {
  readonly address: IpAddress;
  readonly port: Port;
}

export type Protocol = "tcp" | "udp" | "sctp";

/** Six groups and a dotted quad, all digits written. */
const MAX_ADDRESS = "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255".length;

/**
 * Reads an address as people write it: a dotted quad without leading zeros (inet_aton would take them for octal),
 * or RFC 4291 text without a zone.
 *
 * @returns undefined where the text is not an address
 */
export function parseIpAddress(text: string): IpAddress | undefined {
  if (text.length > MAX_ADDRESS) return undefined;
  if (text.includes(":")) {
    const bits = parseIpv6(text);
    return bits === undefined ? undefined : addressFromBits(6, bits);
  }
  return ipv4Number(text) === undefined ? undefined : (text as IpAddress);
}

const DOT = 0x2e;
const ZERO = 0x30;

/** A dotted quad as an unsigned number of 32 bits. Character by character: files of 100,000 addresses come through here several times. */
function ipv4Number(text: string): number | undefined {
  let bits = 0;
  let octet = 0;
  let digits = 0;
  let dots = 0;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (code === DOT) {
      if (digits === 0 || ++dots > 3) return undefined;
      bits = bits * 256 + octet;
      octet = 0;
      digits = 0;
      continue;
    }
    const digit = code - ZERO;
    if (digit < 0 || digit > 9 || (digits > 0 && octet === 0)) return undefined;
    octet = octet * 10 + digit;
    if (octet > 255) return undefined;
    digits++;
  }
  return dots === 3 && digits > 0 ? bits * 256 + octet : undefined;
}

function parseIpv6(text: string): bigint | undefined {
  const halves = text.split("::");
  if (halves.length > 2) return undefined;
  const [head, tail] = halves.map((half) => (half === "" ? [] : half.split(":")));
  if (head === undefined) return undefined;
  const before = ipv6Groups(head, halves.length === 1);
  const after = tail === undefined ? [] : ipv6Groups(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const missing = 8 - before.length - after.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return undefined;
  return [...before, ...Array<number>(missing).fill(0), ...after].reduce(
    (bits, group) => (bits << 16n) | BigInt(group),
    0n,
  );
}

/** The 16-bit groups of one side of `::`; the last may be a dotted quad where `last` allows it. */
function ipv6Groups(parts: readonly string[], last: boolean): number[] | undefined {
  const groups: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(part)) groups.push(Number.parseInt(part, 16));
    else {
      const bits = last && index === parts.length - 1 ? ipv4Number(part) : undefined;
      if (bits === undefined) return undefined;
      groups.push(bits >>> 16, bits & 0xffff);
    }
  }
  return groups;
}

/** IPv4 or IPv6; IPv4 in IPv6 form is none of the addresses here. */
export function familyOf(address: IpAddress): Family {
  return address.includes(":") ? 6 : 4;
}

/** Number of bits in an address of this family. */
export function addressWidth(family: Family): 32 | 128 {
  return family === 4 ? 32 : 128;
}

/** The address as an unsigned number of 32 or 128 bits. */
export function addressBits(address: IpAddress): bigint {
  const ipv4 = ipv4Number(address);
  const bits = ipv4 === undefined ? parseIpv6(address) : BigInt(ipv4);
  if (bits === undefined) throw new TypeError(`not an address: ${address}`);
  return bits;
}

/** @throws RangeError if `bits` does not fit the family */
export function addressFromBits(family: Family, bits: bigint): IpAddress {
  if (bits < 0n || bits >> BigInt(addressWidth(family)) !== 0n)
    throw new RangeError(`no IPv${family} address: ${bits}`);
  if (family === 4) {
    return [24n, 16n, 8n, 0n].map((shift) => (bits >> shift) & 255n).join(".") as IpAddress;
  }
  const groups = Array.from({ length: 8 }, (_, index) => Number((bits >> BigInt(112 - 16 * index)) & 0xffffn));
  return formatGroups(groups) as IpAddress;
}

/** RFC 5952: lower case, the longest run of two or more zero groups as `::`, the first of equal ones; IPv4-mapped as dotted quad. */
function formatGroups(groups: readonly number[]): string {
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    const [high = 0, low = 0] = groups.slice(6);
    return `::ffff:${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`;
  }
  let start = -1;
  let length = 1;
  for (let index = 0; index < 8; index++) {
    let end = index;
    while (end < 8 && groups[end] === 0) end++;
    if (end - index > length) {
      start = index;
      length = end - index;
    }
    if (end > index) index = end;
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  return start < 0 ? text(groups) : `${text(groups.slice(0, start))}::${text(groups.slice(start + length))}`;
}

/** @returns undefined where `value` is not a whole number in 1–65535 */
export function parsePort(value: number): Port | undefined {
  return Number.isInteger(value) && value >= 1 && value <= 65535 ? (value as Port) : undefined;
}

/** Reads `address/length`; host bits are cleared. A bare address is a block of one. */
export function parseCidr(text: string): Cidr | undefined {
  const slash = text.indexOf("/");
  const address = parseIpAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === undefined) return undefined;
  const width = addressWidth(familyOf(address));
  if (slash < 0) return { address, prefixLength: width };
  const length = text.slice(slash + 1);
  if (!/^(0|[1-9]\d{0,2})$/.test(length) || Number(length) > width) return undefined;
  return cidrOf(address, Number(length));
}

/** The block of `prefixLength` bits that holds `address`. */
export function cidrOf(address: IpAddress, prefixLength: number): Cidr {
  const family = familyOf(address);
  const width = addressWidth(family);
  if (prefixLength === width) return { address, prefixLength };
  const hostBits = BigInt(width - prefixLength);
  return { address: addressFromBits(family, (addressBits(address) >> hostBits) << hostBits), prefixLength };
}

/** `address/prefixLength`. */
export function formatCidr(cidr: Cidr): string {
  return `${cidr.address}/${cidr.prefixLength}`;
}

/** `ip:port`, or `[ip]:port` for IPv6. */
export function formatSocketAddress({ address, port }: SocketAddress): string {
  return familyOf(address) === 4 ? `${address}:${port}` : `[${address}]:${port}`;
}

/** Reads `ip:port` or `[v6]:port`; undefined where it is neither. */
export function parseSocketAddress(text: string): SocketAddress | undefined {
  const colon = text.lastIndexOf(":");
  const port = colon < 0 ? undefined : portNumber(text, colon + 1);
  if (port === undefined) return undefined;
  const isBracketed = text.startsWith("[") && text[colon - 1] === "]";
  const address = parseIpAddress(isBracketed ? text.slice(1, colon - 1) : text.slice(0, colon));
  if (address === undefined || (familyOf(address) === 6) !== isBracketed) return undefined;
  return { address, port };
}

/** The port in the one to five digits that end a text. */
function portNumber(text: string, start: number): Port | undefined {
  const length = text.length - start;
  if (length < 1 || length > 5) return undefined;
  let value = 0;
  for (let index = start; index < text.length; index++) {
    const digit = text.charCodeAt(index) - ZERO;
    if (digit < 0 || digit > 9) return undefined;
    value = value * 10 + digit;
  }
  return parsePort(value);
}

/** Whether an address is in a block; never, where they are of different families. */
export function cidrContains(cidr: Cidr, address: IpAddress): boolean {
  const family = familyOf(cidr.address);
  if (family !== familyOf(address)) return false;
  if (family === 4) {
    // JavaScript takes shift counts modulo 32, so the block of everything has no shift.
    const shift = 32 - cidr.prefixLength;
    return shift === 32 || (ipv4Number(cidr.address) ?? 0) >>> shift === (ipv4Number(address) ?? 0) >>> shift;
  }
  const hostBits = BigInt(addressWidth(family) - cidr.prefixLength);
  return addressBits(cidr.address) >> hostBits === addressBits(address) >> hostBits;
}

/** Whether two blocks share an address. */
export function cidrsOverlap(a: Cidr, b: Cidr): boolean {
  return a.prefixLength <= b.prefixLength ? cidrContains(a, b.address) : cidrContains(b, a.address);
}
