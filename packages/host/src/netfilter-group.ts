import { readFile } from "node:fs/promises";

const NETLINK_NETFILTER = "12";

/** Numbers of groups. @see linux/netfilter/nfnetlink.h, NFNLGRP_NFTABLES and NFNLGRP_NFTRACE */
export const NETFILTER_GROUPS = { changes: 7, trace: 9 } as const;

/**
 * Whether a process of this network namespace has joined a group, so that the kernel tells it: `nft monitor`, which reads all rules first, does
 * not say when that is.
 */
export async function isInNetfilterGroup(pid: number, group: keyof typeof NETFILTER_GROUPS): Promise<boolean> {
  const bit = 1 << (NETFILTER_GROUPS[group] - 1);
  const sockets = await readFile("/proc/self/net/netlink", "utf8");
  return sockets.split("\n").some((line) => {
    const [, protocol, port, groups = "0"] = line.trim().split(/\s+/);
    if (protocol !== NETLINK_NETFILTER || port !== String(pid)) return false;
    return (Number.parseInt(groups, 16) & bit) !== 0;
  });
}
