import type { Match } from "@svcproxy/rules";
import type { Family, PodDetector } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { source } from "./matches.ts";

/**
 * How a rule knows a pod of this host: one of these matches holds. None where the detector cannot tell pods in this family;
 * more than one only where there are several clusterCIDRs.
 */
export function podMatches(detector: PodDetector, family: Family): readonly Match[] {
  switch (detector.kind) {
    case "none":
      return [];
    case "source":
      return detector.cidrs.filter(({ address }) => familyOf(address) === family).map(source);
    case "bridge":
      return [{ kind: "inInterface", negated: false, name: detector.interface }];
    case "interfacePrefix":
      return [{ kind: "inInterface", negated: false, name: `${detector.prefix}+` }];
  }
}
