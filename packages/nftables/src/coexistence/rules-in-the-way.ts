import { findObstacles } from "@svcproxy/host";
import { type HostRules, type HostState, type NftTable, parseNft } from "@svcproxy/rules";
import type { Family, HostPlan, Problem } from "@svcproxy/topology";
import { compileTable } from "../compile-table.ts";
import { usesFamily } from "../data-path/draft-change.ts";
import { formatTable } from "../table/format-table.ts";
import type { ForeignRules } from "./coexistence-problems.ts";

/** Whether others have any rule that a packet of ours may meet. */
export function hasRules({ nft, iptables }: ForeignRules): boolean {
  const isMet = ({ rules: { tables } }: ForeignRules["iptables"][number]) =>
    tables.some(({ chains }) => chains.some(({ rules, policy }) => rules.length > 0 || policy === "DROP"));
  return nft.tables.length > 0 || iptables.some(isMet);
}

/**
 * Which rules of others keep connections from their endpoints: some are followed through all rules of the host.
 *
 * @param known what is told of others' chains already, which is not told twice
 */
export function rulesInTheWay(
  plan: HostPlan,
  {
    foreign,
    hostState,
    known,
  }: { readonly foreign: ForeignRules; readonly hostState: HostState; readonly known: readonly Problem[] },
): readonly Problem[] {
  const rules = (part: HostPlan, family: Family): HostRules => ({
    family,
    iptables: foreign.iptables.filter((each) => each.rules.family === family),
    nft: { tables: [...ownTables(part, family), ...foreign.nft.tables] },
    unread: [],
  });
  const isKnown = ({ subject }: Problem) =>
    known.some(
      (told) =>
        (told.code === "FORWARDING_DROPPED" && /forward/i.test(subject)) ||
        (told.code === "FOREIGN_CHAIN_FIRST" && subject.startsWith(told.subject.replace(/^chain /, ""))),
    );
  return findObstacles({ plan, hostState, rules }).filter((problem) => !isKnown(problem));
}

/** Our table for some services stands for that of all of them, which is far larger than all that others have. */
function ownTables(part: HostPlan, family: Family): readonly NftTable[] {
  if (!usesFamily(part, family)) return [];
  const { table } = compileTable(part, { family });
  return parseNft([...formatTable(table)].join("")).tables;
}
