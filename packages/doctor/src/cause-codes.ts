import type { ProblemCode } from "@svcproxy/topology";

/** What the doctor can find. Each is explained in `explanations.ts`, and never changes its meaning. */
export const CAUSE_CODES = [
  "FORWARDING_OFF",
  "BRIDGE_PAST_NETFILTER",
  "FOREIGN_RULE_DROPS",
  "FOREIGN_DNAT_FIRST",
  "FOREIGN_RULE_REWRITES",
  "RULES_MISSING",
  "RULES_OUTDATED",
  "RULES_IN_BOTH_VARIANTS",
  "MASQUERADE_MISSING",
  "REVERSE_PATH_FILTERED",
  "HAIRPIN_OFF",
  "ROUTE_MISSING",
  "VIP_ROUTE_MISSING",
  "LINK_DOWN",
  "NEIGHBOUR_MISSING",
  "TUNNEL_ENTRY_MISSING",
  "TUNNEL_ADDRESS_MOVED",
  "TUNNEL_FILTERED",
  "MTU_TOO_LARGE",
  "POD_GONE",
  "NOTHING_LISTENS",
  "LISTEN_QUEUE_FULL",
  "NO_READY_ENDPOINT",
  "NO_LOCAL_ENDPOINT",
  "CONNTRACK_FULL",
  "STALE_UDP_FLOWS",
  "NODE_PORT_TAKEN",
  "IPVS_LEFT_OVER",
] as const satisfies readonly ProblemCode[];

export type CauseCode = (typeof CAUSE_CODES)[number];
