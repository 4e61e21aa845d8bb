import { formatFraction, toNumber } from "../packet/fraction.ts";
import { describeOutcome } from "../report/describe-outcome.ts";
import type { ObservedComparison } from "./compare-observed.ts";
import type { Hop } from "./observed-hops.ts";
import type { ObservedPacket } from "./observed-packet.ts";

/** One packet as `svcproxy trace --watch --json` prints it, in a line. */
export function observedToJson({ header }: ObservedPacket, comparison: ObservedComparison) {
  const { agreement, disagreement, observed, predicted, alike, alikePredicted, branch, branchIndex } = comparison;
  return {
    packet: header,
    agreement,
    disagreement: disagreement ?? null,
    hops: observed.hops.map((hop, index) => ({ ...hopToJson(hop), asPredicted: index < alike })),
    end: observed.end,
    predicted: {
      branch: branchIndex + 1,
      probability: { fraction: formatFraction(branch.probability), value: toNumber(branch.probability) },
      hops: predicted.map(({ hop }, index) => ({ ...hopToJson(hop), wasSo: index < alikePredicted })),
      end: branch.kind === "undecided" ? null : describeOutcome(branch.outcome),
    },
  };
}

function hopToJson({ kind, hook, table, chain, ...rest }: Hop) {
  return { kind, hook: hook ?? null, table, chain, ...rest };
}
