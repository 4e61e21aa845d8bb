import { addressWidth, type Cidr, cidrContains, familyOf, formatCidr } from "@svcproxy/topology";

/** The blocks without those that lie in another: nft takes no two that overlap. */
export function mergeBlocks(blocks: readonly Cidr[]): readonly Cidr[] {
  const merged: Cidr[] = [];
  for (const block of blocks.toSorted((a, b) => a.prefixLength - b.prefixLength)) {
    if (!merged.some((wider) => cidrContains(wider, block.address))) merged.push(block);
  }
  return merged;
}

/** As nft prints it: without a length where it is one address. */
export function formatBlock(block: Cidr): string {
  const { address, prefixLength } = block;
  return prefixLength === addressWidth(familyOf(address)) ? address : formatCidr(block);
}
