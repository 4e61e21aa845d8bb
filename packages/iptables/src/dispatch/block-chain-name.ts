import { CHAIN_NAME_MAX_LENGTH } from "@svcproxy/rules";
import { formatCidr } from "@svcproxy/topology";
import { hashName } from "../rule-parts/hash-name.ts";
import type { FrontendBlock } from "./frontend-block.ts";

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
