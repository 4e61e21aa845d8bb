import type { Trace } from "../trace-packet.ts";
import type { Verdict } from "../walk/outcome.ts";
import { traceToJson } from "./trace-json.ts";

/** What a user says that a packet's trace comes to; what is left out may be anything. */
export interface Expectation {
  readonly verdict?: Verdict;
  /** All endpoints that may get the packet, `ip:port` (`ip` where the protocol has no ports), in any order. */
  readonly endpoints?: readonly string[];
  readonly masqueraded?: boolean;
}

interface ComparedOutcome {
  readonly verdict: Verdict;
  readonly endpoint: string | null;
  readonly masqueraded: boolean | null;
}

/** What differs between a trace and what was expected of it; a line each, none where all is as expected. */
export function compareExpectation(trace: Trace, { verdict, endpoints, masqueraded }: Expectation): readonly string[] {
  const outcomes = traceToJson(trace).branches.flatMap((branch): readonly ComparedOutcome[] =>
    // An undecided branch is what it may come to, unless that is what was expected.
    branch.verdict === "undecided" && verdict !== "undecided" && (branch.possible ?? []).length > 0
      ? (branch.possible ?? [])
      : [branch],
  );
  const found = {
    verdicts: [...new Set(outcomes.map((outcome) => outcome.verdict))].sort(),
    endpoints: [...new Set(outcomes.flatMap(({ endpoint }) => endpoint ?? []))].sort(),
    masqueraded: [...new Set(outcomes.flatMap((outcome) => outcome.masqueraded ?? []))],
  };
  const wanted = endpoints === undefined ? undefined : [...new Set(endpoints)].sort();
  return [
    ...(verdict === undefined || found.verdicts.every((one) => one === verdict)
      ? []
      : [`verdict is ${found.verdicts.join(" or ")}, not ${verdict}`]),
    ...(wanted === undefined || wanted.join(" ") === found.endpoints.join(" ")
      ? []
      : [`endpoints are ${listed(found.endpoints)}, not ${listed(wanted)}`]),
    ...(masqueraded === undefined || found.masqueraded.every((one) => one === masqueraded)
      ? []
      : [`masqueraded is ${found.masqueraded.join(" or ")}, not ${masqueraded}`]),
  ];
}

function listed(endpoints: readonly string[]): string {
  return endpoints.length === 0 ? "none" : endpoints.join(", ");
}
