import type { Match } from "@svcproxy/rules";
import type { Family, PodDetector } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { source } from "./matches.ts";

/** How a rule knows a pod of this host; undefined where the detector cannot tell pods in this family. */
export function podMatch(detector: PodDetector, family: Family): Match | undefined {
  switch (detector.kind) {
    case "none":
      return undefined;
    case "source": {
      const block = detector.cidrs.find(({ address }) => familyOf(address) === family);
      return block === undefined ? undefined : source(block);
    }
    case "bridge":
      return { kind: "inInterface", negated: false, name: detector.interface };
    case "interfacePrefix":
      return { kind: "inInterface", negated: false, name: `${detector.prefix}+` };
  }
}
