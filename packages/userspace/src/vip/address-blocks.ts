import { addressBits, addressWidth, type Cidr, cidrOf, familyOf, formatCidr, type IpAddress } from "@svcproxy/topology";

/**
 * Blocks that hold all of `addresses`, which are of one family; each as small as it can be.
 *
 * @param widest no block has a shorter prefix: addresses far apart are not put together
 */
export function blocksOf(addresses: readonly IpAddress[], widest: number): readonly Cidr[] {
  const neighbours = Map.groupBy(addresses, (address) => formatCidr(cidrOf(address, widest)));
  return [...neighbours.values()].map(smallestBlock).filter((block) => block !== undefined);
}

/** The smallest block that holds all of `addresses`, which are of one family. */
function smallestBlock(addresses: readonly IpAddress[]): Cidr | undefined {
  const [first] = addresses;
  if (first === undefined) return undefined;
  const width = addressWidth(familyOf(first));
  const differing = addresses.reduce((bits, address) => bits | (addressBits(address) ^ addressBits(first)), 0n);
  return cidrOf(first, width - (differing === 0n ? 0 : differing.toString(2).length));
}
