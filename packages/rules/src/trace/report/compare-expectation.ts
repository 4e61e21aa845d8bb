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

/** A line for each thing, none where all is as expected. */
export interface ComparedExpectation {
  /** What is certainly otherwise than expected. */
  readonly differences: readonly string[];
  /** What hangs on a question that nothing answers: as expected by one answer, otherwise by another. */
  readonly undecided: readonly string[];
}

interface ComparedOutcome {
  readonly verdict: Verdict;
  readonly endpoint: string | null;
  readonly masqueraded: boolean | null;
}

/** Stands for each fact of an outcome of which nothing is known. */
const OPEN = "undecided";

/** Compares a trace with what was expected of it. */
export function compareExpectation(
  trace: Trace,
  { verdict, endpoints, masqueraded }: Expectation,
): ComparedExpectation {
  const differences: string[] = [];
  const undecided: string[] = [];
  const branches = traceToJson(trace).branches.map((branch): readonly ComparedOutcome[] =>
    // An undecided branch is what it may come to, unless that is what was expected.
    branch.verdict === "undecided" && verdict !== "undecided" && (branch.possible ?? []).length > 0
      ? (branch.possible ?? [])
      : [branch],
  );
  const isOpen: OpenTest = (outcome) => outcome.verdict === "undecided" && verdict !== "undecided";
  const compare = <Fact extends string | boolean>(
    name: string,
    wanted: Fact | undefined,
    factOf: (outcome: ComparedOutcome) => Fact | null,
  ) => {
    if (wanted === undefined) return;
    const found = branches.map((outcomes) =>
      outcomes.flatMap((outcome): (Fact | typeof OPEN)[] => {
        const fact = isOpen(outcome) ? OPEN : factOf(outcome);
        return fact === null ? [] : [fact];
      }),
    );
    const all = [...new Set(found.flat())].sort();
    if (all.every((fact) => fact === wanted)) return;
    const isCertain = found.some((facts) => facts.length > 0 && !facts.includes(wanted) && !facts.includes(OPEN));
    (isCertain ? differences : undecided).push(`${name} is ${all.join(" or ")}, not ${wanted}`);
  };
  compare("verdict", verdict, (outcome) => outcome.verdict);
  compareEndpoints({ branches, isOpen }, endpoints, { differences, undecided });
  compare("masqueraded", masqueraded, (outcome) => outcome.masqueraded);
  return { differences, undecided };
}

type OpenTest = (outcome: ComparedOutcome) => boolean;

interface ComparedBranches {
  readonly branches: readonly (readonly ComparedOutcome[])[];
  readonly isOpen: OpenTest;
}

function compareEndpoints(
  { branches, isOpen }: ComparedBranches,
  endpoints: readonly string[] | undefined,
  { differences, undecided }: { readonly differences: string[]; readonly undecided: string[] },
): void {
  if (endpoints === undefined) return;
  const endpointsOf = (outcomes: readonly ComparedOutcome[]) => [
    ...new Set(outcomes.map((outcome) => (isOpen(outcome) ? OPEN : outcome.endpoint))),
  ];
  const found = branches.map(endpointsOf);
  const all = [...new Set(found.flat())].filter((endpoint) => endpoint !== null).sort();
  const wanted = [...new Set(endpoints)].sort();
  if (wanted.join(" ") === all.join(" ")) return;
  const certain = found.flatMap((own) => (own.length === 1 && !own.includes(OPEN) ? own : []));
  const isPossible =
    (all.includes(OPEN) || wanted.every((endpoint) => all.includes(endpoint))) &&
    certain.every((endpoint) => endpoint === null || wanted.includes(endpoint));
  const text = `endpoints are ${listed(all)}, not ${listed(wanted)}`;
  (isPossible ? undecided : differences).push(text);
}

function listed(endpoints: readonly string[]): string {
  return endpoints.length === 0 ? "none" : endpoints.join(", ");
}
