import type { Chain, Match, Rule } from "@svcproxy/rules";
import type { Family, HostPlan } from "@svcproxy/topology";
import { MARK_MASQ, MARK_OUTSIDE } from "./chain-names.ts";
import { podMatches } from "./pod-matches.ts";
import { jump, RETURN } from "./targets.ts";

/** How the clients of a ClusterIP that are none of this host's pods get marked. */
export interface NotAPod {
  /** Ends the rule that marks; undefined where nobody is marked, because nothing tells pods from other clients. */
  readonly rule: Rule | undefined;
  /** A chain that the rule needs. */
  readonly chain?: Chain;
}

/** One rule with `! -s BLOCK`; several blocks, which one rule cannot deny, take a chain that passes over each of them. */
export function notAPod({ podDetector, node }: HostPlan, family: Family): NotAPod {
  if (node.masqueradeAll) return { rule: { matches: [], target: jump(MARK_MASQ) } };
  const isPod = podMatches(podDetector, family);
  const [only, another] = isPod;
  if (only === undefined) return { rule: undefined };
  if (another === undefined) return { rule: { matches: [negate(only)], target: jump(MARK_MASQ) } };
  return {
    rule: { matches: [], target: jump(MARK_OUTSIDE) },
    chain: {
      name: MARK_OUTSIDE,
      rules: [
        ...isPod.map((match): Rule => ({ matches: [match], target: RETURN })),
        { matches: [], target: jump(MARK_MASQ) },
      ],
    },
  };
}

function negate(match: Match): Match {
  return "negated" in match ? { ...match, negated: !match.negated } : match;
}
