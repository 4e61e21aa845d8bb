import { EnvironmentError, visible } from "@svcproxy/topology";
import type { FamilyDifference } from "./rule-backend.ts";

/** How many names an error lists before it only counts. */
const LISTED_NAMES = 12;

/** Whether chains that have our names and differ from the plan were made by somebody else. */
export function isForeign(families: readonly FamilyDifference[]): boolean {
  return foreignChains(families).length > 0;
}

/**
 * Refuses to touch chains that have our names but that somebody else made, unless they mean what the plan wants of them:
 * then a person typed in the document, and what is there already is what is asked for.
 *
 * @throws EnvironmentError FOREIGN_CHAINS
 */
export function refuseForeignChains(
  families: readonly FamilyDifference[],
  hint = "A kube-proxy may be running here: stop it first, or pass --adopt to take its chains over",
): void {
  const foreign = foreignChains(families);
  if (foreign.length === 0) return;
  throw new EnvironmentError(
    "FOREIGN_CHAINS",
    `Cannot change the rules: these chains were not made by svcproxy, and differ from the plan: ${listNames(foreign)}`,
    { hint },
  );
}

function foreignChains(families: readonly FamilyDifference[]): readonly string[] {
  return families.flatMap(({ family, tables }) =>
    tables
      .filter(({ table, changedChains, extraChains }) => {
        // What is shared serves those who share it as well as before.
        const changed = changedChains.filter(({ planned }) => !table.shared.has(planned.name));
        return !table.isMarked && changed.length + extraChains.length > 0;
      })
      .flatMap(({ table }) => [...table.ownChains.keys()].map((chain) => `${chain} (IPv${family} ${table.name})`)),
  );
}

/**
 * Refuses to clean up where a chain of ours could not be deleted, because a rule in a foreign chain jumps to it.
 *
 * @throws EnvironmentError CHAINS_HELD
 */
export function refuseHeldChains(families: readonly FamilyDifference[]): void {
  const held = families.flatMap(({ family, tables }) =>
    tables.flatMap(({ table, extraChains }) =>
      extraChains.flatMap(({ chain, heldBy }) =>
        heldBy === undefined ? [] : [`${chain.name} from ${heldBy} (IPv${family} ${table.name})`],
      ),
    ),
  );
  if (held.length === 0) return;
  throw new EnvironmentError(
    "CHAINS_HELD",
    `Cannot remove chains of ours that rules of others jump to: ${listNames(held)}`,
    { hint: "Delete the rules in these foreign chains first; nothing was changed" },
  );
}

function listNames(names: readonly string[]): string {
  const rest = names.length - LISTED_NAMES;
  return `${names.slice(0, LISTED_NAMES).map(visible).join(", ")}${rest > 0 ? ` and ${rest} more` : ""}`;
}
