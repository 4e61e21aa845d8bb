export interface SysctlOptions {
  /** Strict reverse-path filtering. */
  readonly rpFilter: boolean;
  readonly forwards: boolean;
}

/**
 * Every setting of a network namespace that decides where a packet goes. IPv4's are copied from the machine when a
 * namespace is made, so all of them are set and none is inherited.
 *
 * @returns paths below /proc/sys/net; a `*` stands for `all`, `default` and every device. Those of one folder are written
 * together, the folders in the order of their first setting.
 */
export function planSysctls({ rpFilter, forwards }: SysctlOptions): readonly (readonly [string, string])[] {
  const forwarding = forwards ? "1" : "0";
  return [
    // First, because it resets the redirect settings of every device.
    ["ipv4/ip_forward", forwarding],
    ["ipv6/conf/all/forwarding", forwarding],
    // The two above reach all devices only where they change; a machine may have a device's own setting otherwise.
    ["ipv6/conf/*/forwarding", forwarding],
    ["ipv4/conf/*/forwarding", forwarding],
    ["ipv4/conf/*/rp_filter", rpFilter ? "1" : "0"],
    ["ipv4/conf/*/src_valid_mark", "0"],
    ["ipv4/conf/*/accept_local", "0"],
    ["ipv4/conf/*/route_localnet", "0"],
    ["ipv4/conf/*/accept_redirects", "0"],
    ["ipv4/conf/*/send_redirects", "0"],
    ["ipv4/conf/*/accept_source_route", "0"],
    ["ipv4/conf/*/proxy_arp", "0"],
    ["ipv4/conf/*/arp_filter", "0"],
    ["ipv4/conf/*/arp_ignore", "0"],
    ["ipv4/conf/*/arp_announce", "0"],
    ["ipv4/conf/*/ignore_routes_with_linkdown", "0"],
    ["ipv4/conf/*/log_martians", "0"],
    ["ipv4/ip_nonlocal_bind", "0"],
    ["ipv4/ip_unprivileged_port_start", "0"],
    ["ipv4/icmp_echo_ignore_all", "0"],
    ["ipv4/icmp_ratelimit", "0"],
    // The same for all addresses together, from Linux 6.12 on: by default one refusal of fifty at once is not said.
    ["ipv4/icmp_msgs_per_sec", "1000000"],
    ["ipv4/icmp_msgs_burst", "100000"],
    ["ipv4/fib_multipath_hash_policy", "0"],
    ["ipv4/tcp_migrate_req", "0"],
    ["ipv6/conf/*/disable_ipv6", "0"],
    ["ipv6/conf/*/accept_dad", "0"],
    ["ipv6/conf/*/accept_ra", "0"],
    ["ipv6/conf/*/accept_redirects", "0"],
    ["ipv6/conf/*/router_solicitations", "0"],
    ["ipv6/conf/*/proxy_ndp", "0"],
    ["ipv6/ip_nonlocal_bind", "0"],
    ["ipv6/bindv6only", "0"],
    ["ipv6/icmp/ratelimit", "0"],
    ...(forwards
      ? ([
          // Without it the answer of an endpoint on the client's own bridge is bridged past the address translation.
          ["bridge/bridge-nf-call-iptables", "1"],
          ["bridge/bridge-nf-call-ip6tables", "1"],
          ["bridge/bridge-nf-call-arptables", "0"],
          ["bridge/bridge-nf-filter-vlan-tagged", "0"],
        ] as const)
      : []),
  ];
}
