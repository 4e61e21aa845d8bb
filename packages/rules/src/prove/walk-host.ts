import type { Hook } from "../trace/apply-target.ts";
import { isBridge, isOnLink } from "../trace/interface-kind.ts";
import { CONNECTION_STATES } from "../trace/packet-view.ts";
import type { RouteClass } from "./host-space.ts";
import type { IndexSet } from "./index-set.ts";
import { hasMember, intersect, singleSet, subtract, unite } from "./index-set.ts";
import type { ProofContext } from "./proof-context.ts";
import type { EndedState, Region, SymbolicEnding, SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./walk-table.ts";
import { walkSymbolicTable } from "./walk-table.ts";

type Stage = (state: SymbolicState) => SymbolicResult;

/** A region as it enters the host, nothing done to it yet. */
export function enteringState(region: Region, from: "host" | "network"): SymbolicState {
  return {
    region,
    source: "source",
    destination: "destination",
    sourcePort: "sourcePort",
    destinationPort: "destinationPort",
    mark: { kept: 0xffffffff, flipped: 0 },
    connectionMark: { kept: 0, flipped: 0 },
    direction: "ORIGINAL",
    conntrack: "unseen",
    isLocal: from === "host",
    inInterface: from === "host" ? undefined : "bySource",
    outInterface: undefined,
    route: undefined,
    destinationNat: undefined,
    sourceNat: undefined,
    natDone: [],
    probability: 1,
    assumptions: undefined,
    remembered: undefined,
    decisions: undefined,
  };
}

/** Takes all packets of a state to their ends; the ends are disjoint but for chances and assumptions. */
export function walkHost(context: ProofContext, state: SymbolicState): readonly EndedState[] {
  const { going, ended } = through(byConnection(context, state), (one) =>
    one.isLocal ? walkLocal(context, one) : walkArriving(context, one),
  );
  for (const one of going) ended.push({ state: one, ending: { kind: "delivered" } });
  return ended;
}

/** Of the first group everything is known, of the second neither its mark nor its flags; the third has no connection. */
const CONNECTION_GROUPS = ([["NEW"], ["ESTABLISHED", "RELATED"], ["INVALID", "UNTRACKED"]] as const).map((group) =>
  unite(group.map((state) => singleSet(CONNECTION_STATES.indexOf(state)))),
);

/** Tells connections apart by what is known of them, where a rule asks for more than their state. */
function byConnection({ asksForConnection }: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  if (!asksForConnection || state.direction === "REPLY") return [state];
  return CONNECTION_GROUPS.flatMap((group, place) => {
    const taken = intersect(state.region.state, group);
    if (taken.length === 0) return [];
    const part = { ...state, region: { ...state.region, state: taken } };
    return [place === 1 ? { ...part, connectionMark: undefined } : part];
  });
}

function through(states: readonly SymbolicState[], stage: Stage): SymbolicResult {
  if (states.length === 1 && states[0] !== undefined) return stage(states[0]);
  const going: SymbolicState[] = [];
  const ended: EndedState[] = [];
  for (const state of states) {
    const result = stage(state);
    for (const one of result.going) going.push(one);
    for (const one of result.ended) ended.push(one);
  }
  return { going, ended };
}

function next({ going, ended }: SymbolicResult, stage: Stage): SymbolicResult {
  const result = through(going, stage);
  if (ended.length === 0) return result;
  return { going: result.going, ended: [...ended, ...result.ended] };
}

function goesOn(state: SymbolicState): SymbolicResult {
  return { going: [state], ended: [] };
}

function ends(state: SymbolicState, ending: SymbolicEnding): SymbolicResult {
  return { going: [], ended: [{ state, ending }] };
}

const TABLES: Readonly<Record<Hook, readonly string[]>> = {
  PREROUTING: ["raw", "mangle", "nat"],
  INPUT: ["mangle", "filter", "security", "nat"],
  FORWARD: ["mangle", "filter", "security"],
  OUTPUT: ["raw", "mangle", "nat", "filter", "security"],
  POSTROUTING: ["mangle", "nat"],
};

/** The tables of a hook in the order of their priorities. */
function walkHook(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  let result = goesOn(state);
  for (const table of TABLES[hook]) {
    if (table === "mangle") result = next(result, track);
    if (table !== "nat" && !context.filters) continue;
    result = next(result, (one) =>
      table === "nat" ? walkNat(context, one, hook) : walkSymbolicTable(context, one, { table, hook }),
    );
  }
  return result;
}

function track(state: SymbolicState): SymbolicResult {
  return goesOn(state.conntrack === "unseen" ? { ...state, conntrack: "tracked" } : state);
}

/** Connection states whose packets the nat table sees. */
const FIRST_STATES = unite((["NEW", "RELATED"] as const).map((state) => singleSet(CONNECTION_STATES.indexOf(state))));

/** Each end of a connection is decided once, by its first packet; an answer is mapped back. */
function walkNat(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  const end = hook === "PREROUTING" || hook === "OUTPUT" ? "destination" : "source";
  if (state.direction === "REPLY") return goesOn(mapBack(state, end));
  if (state.natDone.includes(end) || state.conntrack === "untracked") return goesOn(state);
  const first = intersect(state.region.state, FIRST_STATES);
  if (first.length === 0) return goesOn(state);
  const done = [...state.natDone, end] as const;
  if (first === state.region.state) return natTable(context, { ...state, natDone: done }, hook);
  const others = { ...state, region: { ...state.region, state: subtract(state.region.state, first) } };
  const result = natTable(context, { ...state, natDone: done, region: { ...state.region, state: first } }, hook);
  return { going: [others, ...result.going], ended: result.ended };
}

function natTable(context: ProofContext, state: SymbolicState, hook: Hook): SymbolicResult {
  const { destination } = state;
  const result = walkSymbolicTable(context, state, { table: "nat", hook });
  if (hook !== "OUTPUT") return result;
  // A new destination is a new route; the rest of OUTPUT still sees the first one's interface.
  return next(result, (one) =>
    one.destination === destination ? goesOn(one) : routeOutput(context, one, { isFirst: false }),
  );
}

function mapBack(state: SymbolicState, end: "source" | "destination"): SymbolicState {
  return end === "destination"
    ? { ...state, destination: "source", destinationPort: "sourcePort" }
    : { ...state, source: "destination", sourcePort: "destinationPort" };
}

function walkArriving(context: ProofContext, state: SymbolicState): SymbolicResult {
  return next(
    next(
      through(withoutSwitched(context, state), (one) => walkHook(context, one, "PREROUTING")),
      (one) => dropMartians(context, one),
    ),
    (one) => routeInput(context, one),
  );
}

/** Leaves out what a bridge switches from port to port without asking the rules. */
function withoutSwitched({ view, space }: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  const { family } = space;
  if (state.inInterface !== "bySource") return [state];
  if (view.router.sysctl(`net.bridge.bridge-nf-call-${family === 4 ? "iptables" : "ip6tables"}`) === 1) return [state];
  let rest: readonly SymbolicState[] = [state];
  for (const device of view.state.interfaces) {
    if (!isBridge(device)) continue;
    rest = rest.flatMap((one) => withoutBridge(one, onLinkSet({ view, space }, device.name)));
  }
  return rest;
}

function withoutBridge(state: SymbolicState, { behind, own }: OnLink): readonly SymbolicState[] {
  const { region } = state;
  const source = intersect(region.source, behind);
  const destination = subtract(intersect(region.destination, behind), own);
  if (source.length === 0 || destination.length === 0) return [state];
  const parts = [
    { ...region, source: subtract(region.source, source) },
    { ...region, source, destination: subtract(region.destination, destination) },
  ];
  return parts
    .filter((part) => part.source.length > 0 && part.destination.length > 0)
    .map((part) => ({ ...state, region: part }));
}

interface OnLink {
  readonly behind: IndexSet;
  readonly own: IndexSet;
}

function onLinkSet({ view, space }: Pick<ProofContext, "view" | "space">, name: string): OnLink {
  const device = view.router.interfaceOf(name);
  const behind: IndexSet[] = [];
  const own: IndexSet[] = [];
  for (let index = 0; device !== undefined && index < space.size; index++) {
    const address = space.addressAt(index);
    if (!isOnLink(device, address)) continue;
    behind.push(singleSet(index));
    if (view.router.isLocal(address)) own.push(singleSet(index));
  }
  return { behind: unite(behind), own: unite(own) };
}

/** 127.0.0.0/8 is taken from no wire, but where `route_localnet` says so. */
function dropMartians({ host, view, space }: ProofContext, state: SymbolicState): SymbolicResult {
  const { destination } = state;
  const isOn = (device: string) => view.router.sysctl(`net.ipv4.conf.${device}.route_localnet`) === 1;
  const isIpv4 = space.family === 4;
  if (isIpv4 && isOn("all")) return goesOn(state);
  const ending: SymbolicEnding = isIpv4
    ? { kind: "dropped", because: "127.0.0.0/8 was dialled from outside (no route_localnet)" }
    : { kind: "undecided", because: "::1 is looked for on the link by which the packet came" };
  if (typeof destination === "number")
    return hasMember(host.loopback, destination) ? ends(state, ending) : goesOn(state);
  if (destination === "unknown") return goesOn(state);
  const martian = intersect(state.region[destination], host.loopback);
  if (martian.length === 0) return goesOn(state);
  const taken = unite([...host.arriving].filter(([device]) => isIpv4 && isOn(device)).map(([, sources]) => sources));
  const result: SymbolicResult = { going: [], ended: [] };
  const add = (part: Partial<Region>, isDropped: boolean) => {
    const region = { ...state.region, ...part };
    if (region.source.length === 0 || region[destination].length === 0) return;
    if (isDropped) result.ended.push({ state: { ...state, region }, ending });
    else result.going.push({ ...state, region });
  };
  add({ [destination]: subtract(state.region[destination], martian) }, false);
  add({ [destination]: martian, source: intersect(state.region.source, taken) }, false);
  add({ [destination]: martian, source: subtract(state.region.source, taken) }, true);
  return result;
}

/** One part of a state for each route that its destinations have. */
function byRoute(
  { host }: ProofContext,
  state: SymbolicState,
): readonly { part: SymbolicState; way: RouteClass | undefined }[] {
  const { destination } = state;
  if (destination === "unknown") return [{ part: state, way: undefined }];
  if (typeof destination === "number")
    return [{ part: state, way: host.routes.find(({ destinations }) => hasMember(destinations, destination)) }];
  const set = state.region[destination];
  return host.routes.flatMap((way) => {
    const taken = intersect(set, way.destinations);
    if (taken.length === 0) return [];
    return [{ part: taken === set ? state : { ...state, region: { ...state.region, [destination]: taken } }, way }];
  });
}

const FOR_HOST: readonly string[] = ["local", "broadcast", "multicast", "anycast"];

function routeInput(context: ProofContext, state: SymbolicState): SymbolicResult {
  return join(
    byRoute(context, state).map(({ part, way }) => {
      const route = way?.route;
      if (route === undefined || way?.unknown !== undefined) return noRoute(part, way);
      if (FOR_HOST.includes(route.type)) return walkHook(context, { ...part, route }, "INPUT");
      if (!isForwarding(context))
        return ends(part, { kind: "dropped", because: "the host does not forward (ip_forward is 0)" });
      if (route.type !== "unicast") return noRoute(part, way);
      const leaving = { ...part, route, outInterface: route.interface };
      return next(
        next(dropBouncing(context, leaving), (one) => walkHook(context, one, "FORWARD")),
        (one) => walkHook(context, one, "POSTROUTING"),
      );
    }),
  );
}

function join(results: readonly SymbolicResult[]): SymbolicResult {
  if (results.length === 1 && results[0] !== undefined) return results[0];
  return { going: results.flatMap(({ going }) => going), ended: results.flatMap(({ ended }) => ended) };
}

function noRoute(state: SymbolicState, way: RouteClass | undefined): SymbolicResult {
  if (way === undefined) return ends(state, { kind: "undecided", because: "where it goes is not known" });
  if (way.unknown !== undefined) return ends(state, { kind: "undecided", because: way.unknown });
  if (way.route === undefined) return ends(state, { kind: "refused", because: "no route leads there" });
  return way.route.type === "blackhole"
    ? ends(state, { kind: "dropped", because: "the route is a blackhole" })
    : ends(state, { kind: "refused", because: `the route is ${way.route.type}` });
}

function isForwarding({ view, space }: ProofContext): boolean {
  const isOn = (name: string) => view.router.sysctl(name) === 1;
  return space.family === 4
    ? isOn("net.ipv4.ip_forward") || isOn("net.ipv4.conf.all.forwarding")
    : isOn("net.ipv6.conf.all.forwarding");
}

/** A bridge sends no frame back to the port by which it came, unless that port is in hairpin mode. */
function dropBouncing({ view }: ProofContext, state: SymbolicState): SymbolicResult {
  const { destination, outInterface, region } = state;
  const device = view.router.interfaceOf(outInterface ?? "");
  if (device === undefined || !isBridge(device) || state.direction === "REPLY") return goesOn(state);
  if (view.state.interfaces.every(({ master, hairpinMode }) => master !== device.name || hairpinMode !== false))
    return goesOn(state);
  if (typeof destination !== "number" || !hasMember(region.source, destination)) return goesOn(state);
  const because = `${device.name} sends no frame back to the port by which it came (hairpin mode is off)`;
  const self = { ...state, region: { ...region, source: singleSet(destination) } };
  const others = subtract(region.source, singleSet(destination));
  return {
    going: others.length === 0 ? [] : [{ ...state, region: { ...region, source: others } }],
    ended: [{ state: self, ending: { kind: "dropped", because } }],
  };
}

function walkLocal(context: ProofContext, state: SymbolicState): SymbolicResult {
  const loopback = loopbackName(context);
  return next(
    next(
      next(routeOutput(context, state, { isFirst: true }), (one) => walkHook(context, one, "OUTPUT")),
      (one) => walkHook(context, { ...one, outInterface: leavesBy(context, one) }, "POSTROUTING"),
    ),
    (one) => (one.outInterface === loopback ? loopBack(context, one) : goesOn(one)),
  );
}

function loopbackName({ view }: ProofContext): string {
  return view.state.interfaces.find(({ isLoopback }) => isLoopback)?.name ?? "lo";
}

function leavesBy(context: ProofContext, { route }: SymbolicState): string | undefined {
  return route?.type === "local" ? loopbackName(context) : route?.interface;
}

function routeOutput(context: ProofContext, state: SymbolicState, { isFirst }: { isFirst: boolean }): SymbolicResult {
  return join(
    byRoute(context, state).map(({ part, way }): SymbolicResult => {
      const route = way?.route;
      if (route === undefined || way?.unknown !== undefined) return noRoute(part, way);
      if (route.type !== "unicast" && !FOR_HOST.includes(route.type)) return noRoute(part, way);
      const routed = { ...part, route };
      const out = leavesBy(context, routed);
      const leaving = isFirst ? { ...routed, outInterface: out } : routed;
      return out === loopbackName(context) ? goesOn(leaving) : keepLoopbackIn(context, leaving, out ?? "");
    }),
  );
}

/** What has a loopback address may not leave, but where `route_localnet` says so. */
function keepLoopbackIn({ host, view, space }: ProofContext, state: SymbolicState, out: string): SymbolicResult {
  if (space.family === 6) return goesOn(state);
  if (["all", out].some((device) => view.router.sysctl(`net.ipv4.conf.${device}.route_localnet`) === 1))
    return goesOn(state);
  const { source } = state;
  const because = `127.0.0.0/8 may not leave by ${out} (no route_localnet)`;
  if (typeof source === "number" || source === "unknown") return goesOn(state);
  const kept = intersect(state.region[source], host.loopback);
  if (kept.length === 0) return goesOn(state);
  const others = subtract(state.region[source], kept);
  const part = (set: IndexSet) => ({ ...state, region: { ...state.region, [source]: set } });
  return {
    going: others.length === 0 ? [] : [part(others)],
    ended: [{ state: part(kept), ending: { kind: "dropped", because } }],
  };
}

/** What the host sends to itself comes in again by the loopback; NAT is not asked twice. */
function loopBack(context: ProofContext, state: SymbolicState): SymbolicResult {
  const returning: SymbolicState = {
    ...state,
    isLocal: false,
    inInterface: { name: loopbackName(context) },
    outInterface: undefined,
  };
  return next(walkHook(context, returning, "PREROUTING"), (one) => walkHook(context, one, "INPUT"));
}
