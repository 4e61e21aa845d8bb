import { cidrContains, type Family, familyOf, type IpAddress, parseIpAddress } from "./address.ts";
import type { Frontend } from "./host-plan.ts";
import type { Host, NodeSettings } from "./model.ts";

/**
 * Which of a host's addresses serve NodePorts.
 *
 * `nodePortAddresses` of the other family say nothing; without one of this family, or with the block of everything, all
 * addresses do. Loopback does only where it was asked for, in IPv4, and where the blocks do not leave it out.
 * @see kubernetes pkg/proxy/util/nodeport_addresses.go
 */
export function nodePortAddresses({
  family,
  host,
  node,
}: {
  readonly family: Family;
  readonly host: Host;
  readonly node: NodeSettings;
}): Pick<Frontend, "addresses" | "everyHostAddress"> {
  const own = host.addresses.filter((address) => familyOf(address) === family);
  if (node.nodePortsOnPrimaryAddress) return { addresses: own.slice(0, 1), everyHostAddress: false };
  const listed = node.nodePortAddresses.filter(({ address }) => familyOf(address) === family);
  const everyHostAddress = listed.length === 0 || listed.some(({ prefixLength }) => prefixLength === 0);
  const serves = (address: IpAddress) => everyHostAddress || listed.some((cidr) => cidrContains(cidr, address));
  const addresses = own.filter(serves);
  if (LOOPBACK !== undefined && family === 4 && node.localhostNodePorts && serves(LOOPBACK)) addresses.push(LOOPBACK);
  return { addresses, everyHostAddress };
}

const LOOPBACK = parseIpAddress("127.0.0.1");
