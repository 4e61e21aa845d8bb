import type { Rule } from "@svcproxy/rules";
import type { Cidr, Family, HostPlan, IpAddress } from "@svcproxy/topology";
import { servesNodePortsOnLocalhost } from "@svcproxy/topology";
import { destination } from "./matches.ts";
import { DROP } from "./targets.ts";

export const LOOPBACK: Cidr = { address: "127.0.0.0" as IpAddress, prefixLength: 8 };

/** Whether NodePorts are served on 127.0.0.0/8, which takes `route_localnet` and the guard below. */
export function servesLocalhost({ node }: HostPlan, family: Family): boolean {
  return family === 4 && servesNodePortsOnLocalhost(node);
}

/**
 * Keeps neighbours on the network away from what listens on loopback only, once `route_localnet` lets their packets in.
 * @see CVE-2020-8558
 */
export function localhostGuard(comments: Rule["matches"] = []): Rule {
  return {
    matches: [
      ...comments,
      destination(LOOPBACK),
      { kind: "source", negated: true, cidr: LOOPBACK },
      { kind: "conntrack", states: { negated: true, states: ["RELATED", "ESTABLISHED", "DNAT"] } },
    ],
    target: DROP,
  };
}
