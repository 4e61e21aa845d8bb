import { type Family, familyOf } from "@svcproxy/topology";
import type { HostState, PolicyRule, Route } from "../../host/host-state.ts";
import { DEFAULT_POLICY_RULES } from "../../host/host-state-of.ts";
import type { AddressSpace } from "./address-space.ts";
import type { IndexSet } from "./index-set.ts";
import { intersect, subtract, unite } from "./index-set.ts";

/** Where the host sends a set of addresses. */
export interface RouteClass {
  readonly destinations: IndexSet;
  /** Undefined: no route, or one that cannot be told. */
  readonly route: Route | undefined;
  readonly unknown?: string;
}

/** The policy rules of a family in the order in which they are asked. */
export function policyOf({ policyRules }: HostState, family: Family): readonly PolicyRule[] {
  const rules = policyRules.filter((rule) => rule.family === family);
  const all = rules.length === 0 ? DEFAULT_POLICY_RULES.filter((rule) => rule.family === family) : rules;
  return all.toSorted((a, b) => a.priority - b.priority);
}

/** Whether a rule looks at nothing, and asks a table. */
export function isPlain({ family: _, priority: __, from, action, ...rest }: PolicyRule): boolean {
  const isForAll = (from?.prefixLength ?? 0) === 0 && Object.values(rest).every((part) => part === undefined);
  return isForAll && action.kind === "table" && action.suppressUnknown === undefined;
}

/** Paints the tables over each other, the first table on top. */
export function plainRoutes(
  space: AddressSpace,
  state: HostState,
  rules: readonly PolicyRule[],
): readonly RouteClass[] {
  let rest = space.everything;
  const found: RouteClass[] = [];
  for (const { action } of rules) {
    if (action.kind !== "table") continue;
    const table = tableClasses(space, state, action);
    for (const way of table) {
      const destinations = intersect(rest, way.destinations);
      if (destinations.length > 0) found.push({ ...way, destinations });
    }
    rest = subtract(rest, unite(table.map(({ destinations }) => destinations)));
  }
  const classes = joinAlike(found);
  return rest.length === 0 ? classes : [...classes, { destinations: rest, route: undefined }];
}

/** Where one table sends addresses; those of which it says nothing are left out. */
export function tableClasses(
  space: AddressSpace,
  state: HostState,
  { table, suppressPrefixLength = -1 }: Extract<PolicyRule["action"], { readonly kind: "table" }>,
): readonly RouteClass[] {
  let rest = space.everything;
  const found: RouteClass[] = [];
  for (const route of routesOf(state, table, space.family).toReversed()) {
    const destinations = intersect(rest, space.setOf(route.destination));
    if (destinations.length === 0) continue;
    rest = subtract(rest, destinations);
    // What these cover is left to the next rule.
    if (route.type === "throw") continue;
    if (!REFUSALS.includes(route.type) && route.destination.prefixLength <= suppressPrefixLength) continue;
    const unknown =
      route.unknown === undefined ? {} : { unknown: `the route to ${route.destination.address} has ${route.unknown}` };
    found.push({ destinations, route, ...unknown });
  }
  return joinAlike(found);
}

const REFUSALS: readonly string[] = ["unreachable", "prohibit", "blackhole"];

function joinAlike(classes: readonly RouteClass[]): readonly RouteClass[] {
  const joined = new Map<string, { way: RouteClass; parts: IndexSet[] }>();
  for (const way of classes) {
    const { route } = way;
    const key = JSON.stringify([route?.type, route?.interface, route?.gateway, route?.preferredSource, route?.unknown]);
    const known = joined.get(key);
    if (known === undefined) joined.set(key, { way, parts: [way.destinations] });
    else known.parts.push(way.destinations);
  }
  return [...joined.values()].map(({ way, parts }) => ({ ...way, destinations: unite(parts) }));
}

/** A table's routes, the one that wins last. */
export function routesOf({ routes }: HostState, table: string, family: Family): readonly Route[] {
  return routes
    .filter((route) => route.table === table && familyOf(route.destination.address) === family)
    .toSorted((a, b) => a.destination.prefixLength - b.destination.prefixLength || b.metric - a.metric);
}
