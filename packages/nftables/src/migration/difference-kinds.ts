/** What a difference does to what is used today. */
export type DifferenceEffect = "stops" | "changes" | "harmless";

export interface DifferenceText {
  readonly effect: DifferenceEffect;
  /** A sentence for people. */
  readonly title: string;
  /** What to do about it, or why nothing has to be done. */
  readonly advice: string;
}

/**
 * What kube-proxy's nftables mode does otherwise than its iptables mode.
 *
 * @see https://kubernetes.io/docs/reference/networking/virtual-ips/#migrating-from-iptables-mode-to-nftables
 */
export const DIFFERENCE_KINDS = {
  "localhost-node-port": {
    effect: "stops",
    title: "NodePorts are not served on loopback addresses",
    advice:
      "Dial the node's own address instead of 127.0.0.1; kube-proxy 1.37 has an alpha gate, KubeProxyNFTablesLocalhostNodePorts, that serves TCP where nodePortAddresses names loopback (localhost)",
  },
  "own-to-local": {
    effect: "stops",
    title: "The node's own connections to load-balancer and external IPs of policy Local are dropped",
    advice:
      "kube-proxy before 1.33.6 drops them where no endpoint is on the node, those of its host-network pods too (kubernetes/kubernetes#131765): upgrade first",
  },
  "node-port-address": {
    effect: "stops",
    title: "NodePorts are not served on this address",
    advice: "Where clients dial other addresses than the node's primary one, set `nodePortAddresses` (all, or blocks)",
  },
  "firewall-hole": {
    effect: "stops",
    title: "What kube-proxy's iptables rules accepted meets another program's rule or policy",
    advice: "Let the firewall accept it: traffic to NodePorts and from and to pods",
  },
  "health-check-port": {
    effect: "stops",
    title: "A health-check node port that kube-proxy's iptables rules accepted meets another program's rule or policy",
    advice: "Open the port in the firewall: a load balancer takes a node for dead whose health check it cannot reach",
  },
  endpoints: {
    effect: "changes",
    title: "Connections reach other endpoints, or others more often",
    advice:
      "The rules are not those of these objects: take both at the same time, and look whether kube-proxy keeps up",
  },
  "client-address": {
    effect: "changes",
    title: "Endpoints see another client address",
    advice:
      "Compare clusterCIDR and detectLocalMode; masqueradeAll and masqueradeBit belong into the section `nftables` of the configuration",
  },
  outcome: {
    effect: "changes",
    title: "A frontend answers otherwise",
    advice:
      "The rules are not those of these objects: take both at the same time, and look whether kube-proxy keeps up",
  },
  other: {
    effect: "changes",
    title: "Other packets are treated otherwise",
    advice: "Follow the packet with the trace below",
  },
  "proxied-node-port": {
    effect: "harmless",
    title: "TCP NodePorts on loopback addresses are served by a proxy in kube-proxy, not by rules",
    advice:
      "The gate KubeProxyNFTablesLocalhostNodePorts does it; under policy Local it reaches endpoints on this node alone, and connections end with kube-proxy",
  },
  "wrong-port": {
    effect: "harmless",
    title: "Ports of a ClusterIP that no service has are refused at once",
    advice: "Before, such packets left by the default route, and nobody answered",
  },
  "unassigned-address": {
    effect: "harmless",
    title: "Addresses of the service range that no service has are dropped",
    advice: "Before, such packets left by the default route; nothing may answer on an address of that range",
  },
  "invalid-packets": {
    effect: "harmless",
    title: "Packets that conntrack calls INVALID are forwarded",
    advice: "The rule that drops them was a workaround for kernels before 6.1",
  },
  "remote-pod": {
    effect: "harmless",
    title: "A pod of another node that comes here and is given itself keeps its address",
    advice: "Its own node serves it; such packets come here only where the service range is routed to this node",
  },
  "host-to-unserved": {
    effect: "harmless",
    title: "The node's own connections to external and load-balancer IPs that nobody serves are turned away",
    advice: "Before, they left for the load balancer, which had no endpoint either",
  },
  "unserved-node-port": {
    effect: "harmless",
    title: "A NodePort without endpoints is left to the node on this address",
    advice: "The node refuses it itself, unless a program listens on that port",
  },
  "marked-packets": {
    effect: "harmless",
    title: "Packets that arrive with kube-proxy's own mark are treated otherwise",
    advice: "Nobody else is to use that mark",
  },
  "related-packets": {
    effect: "harmless",
    title: "Packets that are RELATED to another connection are neither refused nor guarded",
    advice: "A service's connections begin as NEW",
  },
  "guarded-unserved": {
    effect: "harmless",
    title: "A load-balancer IP with source ranges that nobody serves drops clients outside of them",
    advice: "Before, they were refused like all others",
  },
} as const satisfies Readonly<Record<string, DifferenceText>>;

export type DifferenceKind = keyof typeof DIFFERENCE_KINDS;

/** Those that stop something first. */
export const KINDS_IN_ORDER: readonly DifferenceKind[] = [
  ...(["localhost-node-port", "node-port-address", "own-to-local", "firewall-hole", "health-check-port"] as const),
  ...(["endpoints", "client-address", "outcome", "other"] as const),
  ...(["proxied-node-port", "wrong-port", "unassigned-address", "invalid-packets", "remote-pod"] as const),
  ...(["guarded-unserved", "host-to-unserved", "unserved-node-port", "marked-packets", "related-packets"] as const),
];
