import type { Deviation } from "@svcproxy/rules";
import { detectsPods, type Family, type HostPlan, isDetectionAskedFor, type Topology } from "@svcproxy/topology";

/** Whose rules carry a plan out: the founding document's, or Kubernetes' own. */
export type Dialect = "document" | "kubernetes";

/** The dialect that was asked for; else the one that people who wrote the input expect to read. */
export function chooseDialect({ source }: Pick<Topology, "source">, asked?: Dialect): Dialect {
  return asked ?? (source === "kubernetes" ? "kubernetes" : "document");
}

/** What the rules of a dialect do otherwise than the plan, by design. */
export function dialectDeviations(
  { node, podDetector }: HostPlan,
  { dialect, family }: { readonly dialect: Dialect; readonly family: Family },
): readonly Deviation[] {
  if (dialect === "kubernetes") return KUBERNETES_DEVIATIONS;
  return marksClientsOutside({ node, podDetector }, family)
    ? DOCUMENT_DEVIATIONS
    : [...DOCUMENT_DEVIATIONS, OUTSIDE_NOT_MASQUERADED];
}

/** The document's rules tell no pods from clients outside by themselves: they do where the settings say how. */
export function marksClientsOutside(
  { node, podDetector }: Pick<HostPlan, "node" | "podDetector">,
  family: Family,
): boolean {
  return isDetectionAskedFor(node) && detectsPods(podDetector, family);
}

const KUBERNETES_DEVIATIONS: readonly Deviation[] = [
  {
    kind: "host-to-external-not-refused",
    text: "The host's own connections to an external or load-balancer IP without usable endpoints leave the host: kube-proxy refuses them for packets that come in or pass through only",
  },
  {
    kind: "unserved-nodeport-on-every-address",
    text: "A NodePort without usable endpoints is refused, or dropped, on every address of the host: kube-proxy asks for nodePortAddresses only where it has endpoints",
  },
];

const DOCUMENT_DEVIATIONS: readonly Deviation[] = [
  {
    kind: "host-traffic-masqueraded",
    text: "The last POSTROUTING rule rewrites everything that the host sends from its address, also what goes to no service and what leaves from a second address",
  },
  {
    kind: "nodeport-on-loopback",
    text: "NodePorts match on 127.0.0.0/8 and ::1 too, where no answer comes back (no route_localnet, and nothing like it in IPv6)",
  },
  {
    kind: "whole-mark",
    text: "The mark is set and compared whole, so another program's mark bits are overwritten, or keep a packet from being masqueraded",
  },
  {
    kind: "mark-outlives-packet",
    text: "The mark stays on a packet that was masqueraded, and on what carries it on, such as an overlay's outer packet",
  },
];

const OUTSIDE_NOT_MASQUERADED: Deviation = {
  kind: "outside-clusterip-not-masqueraded",
  text: "A client outside the hosts that dials a ClusterIP keeps its address, so an endpoint on another host answers past this one",
};
