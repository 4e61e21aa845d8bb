import { type Cidr, type Family, familyOf } from "../address.ts";
import { unreachable } from "../errors.ts";
import type { Host, NodeSettings } from "../model.ts";
import type { PodDetector } from "./host-plan.ts";

/** How `host` tells its own pods' traffic from the rest, by the mode that was asked for or the best that there is. */
export function detectPods(host: Host, { detectLocal, clusterCIDRs }: NodeSettings): PodDetector {
  const wanted = detectLocal ?? { mode: clusterCIDRs.length > 0 ? ("ClusterCIDR" as const) : ("NodeCIDR" as const) };
  switch (wanted.mode) {
    case "ClusterCIDR":
      return bySource(clusterCIDRs);
    case "NodeCIDR":
      return bySource(host.podCIDRs);
    case "BridgeInterface":
      return { kind: "bridge", interface: wanted.bridgeInterface };
    case "InterfaceNamePrefix":
      return { kind: "interfacePrefix", prefix: wanted.interfaceNamePrefix };
    default:
      return unreachable(wanted);
  }
}

function bySource(cidrs: readonly Cidr[]): PodDetector {
  return cidrs.length === 0 ? { kind: "none" } : { kind: "source", cidrs };
}

/** Whether the settings say how pods are told, rather than leave it to the best that there is. */
export function isDetectionAskedFor({ detectLocal, clusterCIDRs }: NodeSettings): boolean {
  return detectLocal !== undefined || clusterCIDRs.length > 0;
}

/** Whether the detector can tell a pod from other clients in this family. */
export function detectsPods(detector: PodDetector, family: Family): boolean {
  if (detector.kind === "none") return false;
  return detector.kind !== "source" || detector.cidrs.some((cidr) => familyOf(cidr.address) === family);
}
