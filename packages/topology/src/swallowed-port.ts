import { type IpAddress, parseIpAddress, parsePort, type SocketAddress } from "./address.ts";

/**
 * The address and port that somebody may have meant by an IPv6 address: `fd00::1:80` is one of eight groups, and reads like
 * port 80 of `fd00::1`. Honest addresses look like that too, so it takes a second sign to doubt one.
 *
 * @returns undefined where the last group is no port, or the rest no address
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
