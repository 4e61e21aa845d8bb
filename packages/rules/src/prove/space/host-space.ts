import type { Family } from "@svcproxy/topology";
import { familyOf, parseCidr } from "@svcproxy/topology";
import type { HostState, PolicyRule, Route } from "../../host/host-state.ts";
import { type AddressType, addressTypeOfRoute } from "../../host/routing.ts";
import type { AddressSpace, AddressSpaceBuilder } from "./address-space.ts";
import type { IndexSet } from "./index-set.ts";
import { NOTHING, subtract, unite } from "./index-set.ts";

/** Where the host sends a set of addresses. */
export interface RouteClass {
  readonly destinations: IndexSet;
  /** Undefined: no route, or one that cannot be told. */
  readonly route: Route | undefined;
  readonly unknown?: string;
}

/** What the host's state says about every address. */
export interface HostSpace {
  readonly routes: readonly RouteClass[];
  typeSet(type: AddressType): IndexSet;
  /** Sources of packets that arrive by each interface, as strict reverse-path filtering lets them in. */
  readonly arriving: ReadonlyMap<string, IndexSet>;
  readonly local: IndexSet;
  readonly loopback: IndexSet;
  /** Why routes may not be what they seem: policy rules that look at more than the destination. */
  readonly caveat: string | undefined;
}

const LOOPBACK: Readonly<Record<Family, string>> = { 4: "127.0.0.0/8", 6: "::1/128" };

/** Blocks whose type no table says. @see routing.ts, typeOfAddress */
const SPECIAL: Readonly<Record<Family, readonly (readonly [string, AddressType])[]>> = {
  4: [
    ["0.0.0.0/8", "BROADCAST"],
    ["255.255.255.255/32", "BROADCAST"],
    ["224.0.0.0/4", "MULTICAST"],
  ],
  6: [
    ["::/128", "UNSPEC"],
    ["ff00::/8", "MULTICAST"],
  ],
};

/** Cuts the addresses where the host's state tells them apart. */
export function mentionHost(builder: AddressSpaceBuilder, state: HostState, family: Family): void {
  const cidrs = [LOOPBACK[family], ...SPECIAL[family].map(([text]) => text)].map(parseCidr);
  for (const cidr of cidrs) if (cidr !== undefined) builder.addCidr(cidr);
  for (const { destination } of state.routes) {
    if (familyOf(destination.address) === family) builder.addCidr(destination);
  }
  for (const { addresses } of state.interfaces) {
    for (const { address } of addresses) if (familyOf(address) === family) builder.addAddress(address);
  }
}

export function hostSpaceOf(space: AddressSpace, state: HostState): HostSpace {
  const { family } = space;
  const blockSet = (text: string) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? NOTHING : space.setOf(cidr);
  };
  const rules = state.policyRules.filter((rule) => rule.family === family);
  const plain =
    rules.length === 0
      ? ["local", "main", "default"]
      : inOrder(rules)
          .filter(isPlain)
          .map(({ table }) => table);
  const routes = routeClasses(
    space,
    plain.map((table) => routesOf(state, table, family)),
  );
  const types = addressTypes(space, { local: routesOf(state, "local", family), blockSet });
  const loopbackNames = new Set(state.interfaces.filter(({ isLoopback }) => isLoopback).map(({ name }) => name));
  const arriving = new Map<string, IndexSet>();
  for (const { route, destinations } of routes) {
    if (route?.type !== "unicast" || route.interface === undefined || loopbackNames.has(route.interface)) continue;
    const sources = subtract(
      destinations,
      unite([...types].filter(([type]) => type !== "UNICAST").map(([, set]) => set)),
    );
    arriving.set(
      route.interface,
      unite([arriving.get(route.interface) ?? NOTHING, subtract(sources, blockSet(LOOPBACK[family]))]),
    );
  }
  const caveat = rules.find((rule) => !isPlain(rule));
  return {
    routes,
    typeSet: (type) => types.get(type) ?? NOTHING,
    arriving,
    local: types.get("LOCAL") ?? NOTHING,
    loopback: blockSet(LOOPBACK[family]),
    caveat: caveat === undefined ? undefined : `ip rule ${caveat.priority} looks at more than the destination`,
  };
}

function inOrder(rules: readonly PolicyRule[]): readonly PolicyRule[] {
  return rules.toSorted((a, b) => a.priority - b.priority);
}

function isPlain({ from, to, mark, inInterface, outInterface, unknown }: PolicyRule): boolean {
  const everywhere = from === undefined || from.prefixLength === 0;
  return everywhere && [to, mark, inInterface, outInterface, unknown].every((part) => part === undefined);
}

/** A table's routes, the one that wins last. */
function routesOf({ routes }: HostState, table: string, family: Family): readonly Route[] {
  return routes
    .filter((route) => route.table === table && familyOf(route.destination.address) === family)
    .toSorted((a, b) => a.destination.prefixLength - b.destination.prefixLength || b.metric - a.metric);
}

/** Paints the tables over each other, the first table on top. */
function routeClasses(space: AddressSpace, tables: readonly (readonly Route[])[]): readonly RouteClass[] {
  let rest = space.everything;
  const classes = new Map<string, { route: Route; parts: IndexSet[] }>();
  for (const table of tables) {
    for (const route of table.toReversed()) {
      const taken = intersectWith(rest, space.setOf(route.destination));
      if (taken.length === 0) continue;
      // A `throw` route sends the search on to the next table, with what it covers left open there.
      rest = route.type === "throw" ? rest : subtract(rest, taken);
      if (route.type === "throw") continue;
      const key = JSON.stringify([route.type, route.interface, route.gateway, route.preferredSource, route.unknown]);
      const known = classes.get(key);
      if (known === undefined) classes.set(key, { route, parts: [taken] });
      else known.parts.push(taken);
    }
  }
  const found = [...classes.values()].map(
    ({ route, parts }): RouteClass => ({
      destinations: unite(parts),
      route,
      ...(route.unknown === undefined
        ? {}
        : { unknown: `the route to ${route.destination.address} has ${route.unknown}` }),
    }),
  );
  return rest.length === 0 ? found : [...found, { destinations: rest, route: undefined }];
}

function intersectWith(set: IndexSet, block: IndexSet): IndexSet {
  return subtract(set, subtract(set, block));
}

function addressTypes(
  space: AddressSpace,
  { local, blockSet }: { local: readonly Route[]; blockSet: (text: string) => IndexSet },
): ReadonlyMap<AddressType, IndexSet> {
  const parts = new Map<AddressType, IndexSet[]>();
  const add = (type: AddressType, set: IndexSet) => {
    const list = parts.get(type);
    if (list === undefined) parts.set(type, [set]);
    else list.push(set);
  };
  let rest = space.everything;
  const paint = (type: AddressType, block: IndexSet) => {
    add(type, intersectWith(rest, block));
    rest = subtract(rest, block);
  };
  for (const [text, type] of SPECIAL[space.family]) paint(type, blockSet(text));
  for (const route of local.toReversed()) paint(addressTypeOfRoute(route), space.setOf(route.destination));
  add("UNICAST", rest);
  return new Map([...parts].map(([type, sets]) => [type, unite(sets)]));
}
