/** Settings of a test's namespace, as shell commands: with them the kernel answers at once, however many ask. */
export const PROMPT_SYSCTLS: readonly string[] = [
  // Else nobody learns of an IPv6 neighbour in the first two seconds of a link.
  "sysctl -q -w net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0",
  // Else one of many that are refused at once waits in silence.
  "sysctl -q -w net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0",
  // The same for all addresses together. Before Linux 6.12 only the first namespace has these two.
  "sysctl -q -e -w net.ipv4.icmp_msgs_per_sec=1000000 net.ipv4.icmp_msgs_burst=100000",
];
