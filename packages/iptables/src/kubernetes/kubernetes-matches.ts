import type { Match } from "@svcproxy/rules";
import type { Cidr } from "@svcproxy/topology";
import type { FrontendBlock } from "../dispatch/frontend-block.ts";
import { destination, destinationPorts, moduleMatch, protocolMatch } from "../rule-parts/matches.ts";

/** `-s BLOCK`, with its length also where it holds one address: so kube-proxy writes what was given to it as a block. */
export function sourceBlock(cidr: Cidr): Match {
  return { kind: "source", negated: false, cidr, isBlock: true };
}

/** `-m tcp -p tcp -d ADDRESS --dport PORT`, in kube-proxy's order. */
export function kubernetesMatches({ cidr, protocol, ports }: FrontendBlock): readonly Match[] {
  const matches: Match[] = [];
  if (protocol !== undefined) {
    matches.push(ports === undefined ? moduleMatch(protocol) : destinationPorts(protocol, ports));
    matches.push(protocolMatch(protocol));
  }
  if (cidr !== undefined) matches.push(destination(cidr));
  return matches;
}

const SCALE = 2 ** 31;

/**
 * kube-proxy's `statistic` matches for `count` endpoints: ten decimals of 1/(count - i), the last endpoint without one.
 *
 * @see kubernetes pkg/proxy/iptables/proxier.go, computeProbability
 */
export function kubernetesShares(count: number): readonly Match[] {
  return Array.from({ length: count - 1 }, (_, index): Match => {
    const text = (1 / (count - index)).toFixed(10);
    return { kind: "statistic", mode: "random", negated: false, threshold: Math.round(Number(text) * SCALE), text };
  });
}
