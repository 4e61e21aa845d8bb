import { type Cidr, cidrContains, type Family, familyOf, type IpAddress, parseIpAddress } from "../address.ts";
import type { Host, NodeSettings } from "../model.ts";
import { specialAddress } from "../special-address.ts";
import type { NodePortAddresses } from "./host-plan.ts";

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
  machineAddresses = [],
}: {
  readonly family: Family;
  readonly host: Host;
  readonly node: NodeSettings;
  /** Those of the host's interfaces, where its machine was looked at. */
  readonly machineAddresses?: readonly IpAddress[];
}): NodePortAddresses {
  const ofFamily = (addresses: readonly IpAddress[]) => addresses.filter((address) => familyOf(address) === family);
  const own = ofFamily(host.addresses);
  const listed = blocksOf(node, family);
  const everyHostAddress = listed === undefined;
  const isServed = (address: IpAddress) =>
    isIn(listed, address) || (node.nodePortsOnPrimaryAddress && address === own[0]);
  const unlisted = ofFamily(machineAddresses).filter(
    // Loopback addresses serve NodePorts only where that is asked for; a link-local one is of no use without its interface.
    (address) => !own.includes(address) && specialAddress(address) === undefined,
  );
  const addresses = [...own, ...unlisted].filter(isServed);
  if (LOOPBACK !== undefined && family === 4 && servesNodePortsOnLocalhost(node)) addresses.push(LOOPBACK);
  return { addresses, everyHostAddress };
}

/**
 * Whether NodePorts are served on 127.0.0.0/8: where they are asked for, unless the addresses that serve NodePorts leave
 * loopback out. kube-proxy turns them off then when it starts, and with them the guard and the sysctl that they take.
 */
export function servesNodePortsOnLocalhost(node: NodeSettings): boolean {
  if (LOOPBACK === undefined || !node.localhostNodePorts) return false;
  return isIn(blocksOf(node, 4), LOOPBACK);
}

/** The blocks whose addresses serve NodePorts; undefined where all do. */
function blocksOf(
  { nodePortAddresses: blocks, nodePortsOnPrimaryAddress }: NodeSettings,
  family: Family,
): readonly Cidr[] | undefined {
  const listed = blocks.filter(({ address }) => familyOf(address) === family);
  return (listed.length === 0 && !nodePortsOnPrimaryAddress) || listed.some(({ prefixLength }) => prefixLength === 0)
    ? undefined
    : listed;
}

function isIn(blocks: readonly Cidr[] | undefined, address: IpAddress): boolean {
  return blocks === undefined || blocks.some((cidr) => cidrContains(cidr, address));
}

const LOOPBACK = parseIpAddress("127.0.0.1");
