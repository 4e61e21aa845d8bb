import type { Cidr, IpAddress } from "../address.ts";
import { parseCidr, parseIpAddress } from "../address.ts";

/**
 * An address as Go's old parser read it, which Kubernetes keeps for objects that were stored long ago: octets may have leading
 * zeros and are decimal nevertheless; an IPv4 address in IPv6 form is that IPv4 address.
 *
 * @see k8s.io/utils/net, ParseIPSloppy
 */
export function parseSloppyAddress(text: string): { address: IpAddress; isSloppy: boolean } | undefined {
  const strict = parseIpAddress(text);
  const plain = strict === undefined ? parseIpAddress(withoutLeadingZeros(text)) : strict;
  if (plain === undefined) return undefined;
  const embedded = plain.startsWith("::ffff:") ? parseIpAddress(plain.slice("::ffff:".length)) : undefined;
  const address = embedded ?? plain;
  return { address, isSloppy: strict === undefined || embedded !== undefined };
}

/** The same for blocks: `203.0.113.000/025`. */
export function parseSloppyCidr(text: string): { cidr: Cidr; isSloppy: boolean } | undefined {
  const strict = text.includes("/") ? parseCidr(text) : undefined;
  if (strict !== undefined) return { cidr: strict, isSloppy: false };
  const [address = "", length = "", ...more] = text.split("/");
  if (more.length > 0 || !/^\d+$/.test(length)) return undefined;
  const cidr = parseCidr(`${withoutLeadingZeros(address)}/${Number(length)}`);
  return cidr === undefined ? undefined : { cidr, isSloppy: true };
}

function withoutLeadingZeros(text: string): string {
  return /^\d+(\.\d+){3}$/.test(text) ? text.replace(/(^|\.)0+(?=\d)/g, "$1") : text;
}
