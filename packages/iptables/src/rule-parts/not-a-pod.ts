import type { Match, Rule } from "@svcproxy/rules";
import type { Family, HostPlan } from "@svcproxy/topology";
import { MARK_MASQ } from "./chain-names.ts";
import { podMatch } from "./pod-match.ts";
import { jump } from "./targets.ts";

/**
 * Ends the rule that marks those clients of a ClusterIP that are none of this host's pods; undefined where nobody is marked,
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
