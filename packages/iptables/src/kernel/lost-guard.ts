import { lostGuardProblem, type Machine } from "@svcproxy/host";
import type { RuleSet } from "@svcproxy/rules";
import type { Problem } from "@svcproxy/topology";
import { FIREWALL } from "../rule-parts/chain-names.ts";

/** @param before our rules as they were @param after our rules as they are */
export function lostGuard({
  before,
  after,
  machine,
}: {
  readonly before: readonly Guarding[];
  readonly after: readonly Guarding[];
  readonly machine: Machine;
}): Promise<Problem | undefined> {
  return lostGuardProblem({ wasGuarded: before.some(isGuarding), isGuarded: after.some(isGuarding), machine });
}

type Guarding = Pick<RuleSet, "family" | "tables">;

function isGuarding({ family, tables }: Guarding): boolean {
  if (family !== 4) return false;
  const chains = tables.find(({ name }) => name === "filter")?.chains ?? [];
  // Where others need the chain it is none of ours, and stays.
  return chains.some(({ name, rules }) => name === FIREWALL && rules.length > 0);
}
