import type { Match, Rule } from "@svcproxy/rules";
import type { Family, HostPlan, PodDetector } from "@svcproxy/topology";
import { familyOf } from "@svcproxy/topology";
import { MARK_MASQ } from "./chain-names.ts";
import { source } from "./matches.ts";
import { jump } from "./targets.ts";

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

/**
 * Ends the rule that marks those clients of a ClusterIP that are not pods of this host; undefined where nobody is marked,
 * because nothing tells pods from other clients.
 */
export function notAPod({ podDetector, node }: HostPlan, family: Family): Rule | undefined {
  if (node.masqueradeAll) return { matches: [], target: jump(MARK_MASQ) };
  const isPod = podMatch(podDetector, family);
  return isPod === undefined ? undefined : { matches: [negate(isPod)], target: jump(MARK_MASQ) };
}

function negate(match: Match): Match {
  return "negated" in match ? { ...match, negated: !match.negated } : match;
}
