import { readFile } from "node:fs/promises";

/**
 * Protocols and groups of netlink by their numbers.
 *
 * @see linux/netlink.h; linux/netfilter/nfnetlink.h, NFNLGRP_NFTABLES and NFNLGRP_NFTRACE; linux/rtnetlink.h, RTNLGRP_LINK
 */
const GROUPS = {
  rules: { protocol: "12", group: 7 },
  trace: { protocol: "12", group: 9 },
  links: { protocol: "0", group: 1 },
} as const;

/**
 * Whether a process of this network namespace has joined a group, so that the kernel tells it: `nft monitor`, which reads all rules first, does
 * not say when that is, and `ip monitor` neither.
 */
export async function isInNetlinkGroup(pid: number, name: keyof typeof GROUPS): Promise<boolean> {
  const wanted = GROUPS[name];
  const bit = 1 << (wanted.group - 1);
  const sockets = await readFile("/proc/self/net/netlink", "utf8");
  return sockets.split("\n").some((line) => {
    const [, protocol, port, groups = "0"] = line.trim().split(/\s+/);
    if (protocol !== wanted.protocol || port !== String(pid)) return false;
    return (Number.parseInt(groups, 16) & bit) !== 0;
  });
}
