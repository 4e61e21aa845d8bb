import type { PageProblem, PageState, ServiceState, ServiceStateKind } from "../model.ts";
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
  readonly kind: ServiceStateKind;
  readonly shownBy: NonNullable<ServiceState["shownBy"]>;
}

/** Services that one host does not serve as planned, for the same reason, are one problem. */
function failuresOf({ hosts, services }: PageState): readonly PageProblem[] {
  const failures = services.flatMap(({ id, states }) =>
    states.flatMap(({ kind, shownBy }, index): readonly Failure[] => {
      const host = hosts[index]?.name;
      return host === undefined || shownBy === undefined ? [] : [{ service: id, host, kind, shownBy }];
    }),
  );
  const groups = Map.groupBy(failures, ({ host, kind, shownBy }) => `${host} ${kind} ${shownBy.because}`);
  return [...groups.values()].flatMap((group) => {
    const [first] = group;
    return first === undefined ? [] : [problemOf(first, group)];
  });
}

function problemOf({ host, service, kind, shownBy }: Failure, all: readonly Failure[]): PageProblem {
  const isFailed = kind === "failed";
  return {
    code: isFailed ? "RULES_BREAK_PROMISE" : "RULES_UNDECIDED",
    severity: isFailed ? "error" : "warning",
    subject: all.length === 1 ? `service ${service}` : plural(all.length, "service"),
    host,
    text: `${isFailed ? "Not served as planned" : "The rules do not tell"}: ${shownBy.because}`,
    services: all.map((failure) => failure.service),
    evidence: [`${all.length > 1 ? `For instance ${service}: ` : ""}${shownBy.dialled}`],
    hint: `svcproxy doctor on ${host} names who did it, and the command that mends it`,
    packet: shownBy.packet,
  };
}
