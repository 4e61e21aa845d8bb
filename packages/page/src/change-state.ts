import { applyListChange, type ListComparison, listChange } from "@svcproxy/topology";
import type { PageChange, PageState } from "./model.ts";

/** What is to be told to who knows `before`; behind the page's server. */
export function changeOf(before: PageState, after: PageState): PageChange {
  const { version, source, takenAt } = after;
  return {
    ...{ version, source, takenAt, since: before.takenAt },
    hosts: listChange(before.hosts, after.hosts, BY_NAME),
    places: listChange(before.places, after.places, BY_NAME),
    services: listChange(before.services, after.services, { keyOf: ({ id }) => id }),
    problems: listChange(before.problems, after.problems, { keyOf: (problem) => JSON.stringify(problem) }),
  };
}

const BY_NAME: ListComparison<{ readonly name: string }> = { keyOf: ({ name }) => name };

/** What the page makes of it. @throws RangeError where it knows another state than the one before */
export function applyChange(
  before: PageState,
  { since, hosts, places, services, problems, ...told }: PageChange,
): PageState {
  if (before.takenAt !== since) throw new RangeError("this is a change of another state");
  return {
    ...told,
    hosts: applyListChange(before.hosts, hosts),
    places: applyListChange(before.places, places),
    services: applyListChange(before.services, services),
    problems: applyListChange(before.problems, problems),
  };
}
