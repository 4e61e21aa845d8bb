import type { Match } from "@svcproxy/rules";

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
