import type { Family } from "@svcproxy/topology";
import { familyOf, parseCidr } from "@svcproxy/topology";
import type { HostState, Route } from "../../host/host-state.ts";
import { masqueradeBlocks } from "../../host/masquerade-address.ts";
import { type AddressType, addressTypeOfRoute } from "../../host/routing.ts";
import type { AddressSpace, AddressSpaceBuilder } from "./address-space.ts";
import { type Arrival, findArrivals } from "./arrivals.ts";
import type { IndexSet } from "./index-set.ts";
import { intersect, NOTHING, subtract, unite } from "./index-set.ts";
import { isPlain, plainRoutes, policyOf, type RouteClass, routesOf } from "./route-classes.ts";

/** What the host's state says about every address. */
export interface HostSpace {
  /** Where everything is sent, where no policy rule looks at more than the destination; else undefined. */
  readonly routes: readonly RouteClass[] | undefined;
  typeSet(type: AddressType): IndexSet;
  /** One, where no policy rule looks at the source. */
  readonly arrivals: readonly Arrival[];
  /** The sources that may come in by each interface, whatever they dial. */
  readonly arriving: ReadonlyMap<string, IndexSet>;
  readonly local: IndexSet;
  readonly loopback: IndexSet;
  /** Why packets may come in by other interfaces than it seems. */
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
  for (const { from, to } of state.policyRules) {
    for (const end of [from, to]) if (end !== undefined && familyOf(end.address) === family) builder.addCidr(end);
  }
  for (const { addresses } of state.interfaces) {
    for (const { address } of addresses) if (familyOf(address) === family) builder.addAddress(address);
  }
  for (const cidr of masqueradeBlocks(state, family)) builder.addCidr(cidr);
}

export function hostSpaceOf(space: AddressSpace, state: HostState): HostSpace {
  const { family } = space;
  const blockSet = (text: string) => {
    const cidr = parseCidr(text);
    return cidr === undefined ? NOTHING : space.setOf(cidr);
  };
  const types = addressTypes(space, { local: routesOf(state, "local", family), blockSet });
  const unlikely = unite([
    ...[...types].filter(([type]) => type !== "UNICAST").map(([, set]) => set),
    blockSet(LOOPBACK[family]),
  ]);
  const rules = policyOf(state, family);
  const { arrivals, caveat } = findArrivals(space, { state, rules, senders: subtract(space.everything, unlikely) });
  const arriving = new Map<string, IndexSet>();
  for (const { byInterface } of arrivals)
    for (const [name, sources] of byInterface) arriving.set(name, unite([arriving.get(name) ?? NOTHING, sources]));
  return {
    routes: rules.every(isPlain) ? plainRoutes(space, state, rules) : undefined,
    typeSet: (type) => types.get(type) ?? NOTHING,
    arrivals,
    arriving,
    local: types.get("LOCAL") ?? NOTHING,
    loopback: blockSet(LOOPBACK[family]),
    caveat,
  };
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
    add(type, intersect(rest, block));
    rest = subtract(rest, block);
  };
  for (const [text, type] of SPECIAL[space.family]) paint(type, blockSet(text));
  for (const route of local.toReversed()) paint(addressTypeOfRoute(route), space.setOf(route.destination));
  add("UNICAST", rest);
  return new Map([...parts].map(([type, sets]) => [type, unite(sets)]));
}
