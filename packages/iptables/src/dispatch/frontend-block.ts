import { hashName } from "@svcproxy/host";
import { CHAIN_NAME_MAX_LENGTH, type Match, type NumberRange } from "@svcproxy/rules";
import { type Cidr, formatCidr, type Protocol } from "@svcproxy/topology";

/** Some of the frontends: those whose address, protocol and port lie in it. What is not said may be anything. */
export interface FrontendBlock {
  readonly cidr?: Cidr;
  readonly protocol?: Protocol;
  /** Said only where the protocol is. */
  readonly ports?: NumberRange;
}

/** How a dialect writes what the packets to a block have in common. */
export type BlockMatches = (block: FrontendBlock) => readonly Match[];

const HASH_LENGTH = 16;

/** `KUBE-VIP-10.96.4.0/22`, `KUBE-NP-tcp-30000-30255`: readable where there is room, else a hash of the block. */
export function blockChainName(prefix: string, { cidr, protocol, ports }: FrontendBlock): string {
  // nftables' own language, which dumps these chains too, has no colon in a name.
  const parts = [
    ...(cidr === undefined ? [] : [formatCidr(cidr).replaceAll(":", ".")]),
    ...(protocol === undefined ? [] : [protocol]),
    ...(ports === undefined ? [] : [`${ports.from}-${ports.to}`]),
  ];
  const name = prefix + parts.join("-");
  return name.length <= CHAIN_NAME_MAX_LENGTH ? name : prefix + hashName(parts.join("-"), HASH_LENGTH);
}
