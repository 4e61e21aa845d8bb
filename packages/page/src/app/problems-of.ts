import type { PageProblem, PageState, ServiceState } from "../model.ts";
import { plural } from "./words.ts";

/** What the source and its agents tell, and what was found by following packets; errors first. */
export function problemsOf(state: PageState): readonly PageProblem[] {
  return [...state.problems, ...failuresOf(state)].sort((a, b) => rankOf(a) - rankOf(b));
}

function rankOf({ severity }: PageProblem): number {
  return severity === "error" ? 0 : 1;
}

interface Failure {
  readonly service: string;
  readonly host: string;
  readonly state: ServiceState;
}

/** Services that one host does not serve as planned, for the same reason, are one problem. */
function failuresOf({ hosts, services }: PageState): readonly PageProblem[] {
  const failures = services.flatMap(({ id, states }) =>
    states.flatMap((state, index): readonly Failure[] => {
      const host = hosts[index]?.name;
      return host === undefined || state.shownBy === undefined ? [] : [{ service: id, host, state }];
    }),
  );
  const groups = Map.groupBy(failures, ({ host, state }) => `${host} ${state.kind} ${state.shownBy?.because}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [problemOf(first, group)];
  });
}

function problemOf({ host, service, state }: Failure, all: readonly Failure[]): PageProblem {
  const { kind, why = "", shownBy } = state;
  const isFailed = kind === "failed";
  const whose = all.length === 1 ? `service ${service}` : plural(all.length, "service");
  const because = shownBy?.because ?? why;
  return {
    code: isFailed ? "RULES_BREAK_PROMISE" : "RULES_UNDECIDED",
    severity: isFailed ? "error" : "warning",
    subject: whose,
    host,
    text: isFailed ? `Not served as planned: ${because}` : `The rules do not tell: ${because}`,
    services: all.map((failure) => failure.service),
    evidence: [why],
    hint: `svcproxy doctor on ${host} names who did it, and the command that mends it`,
    ...(shownBy === undefined ? {} : { packet: shownBy.packet }),
  };
}
