import { cidrOf, familyOf } from "@svcproxy/topology";
import type { Route } from "../../host/host-state.ts";
import { isBridge } from "../../host/interface-kind.ts";
import { TO_ALL } from "../../host/routing.ts";
import { forwardedPriority } from "../../trace/packet/forwarded-priority.ts";
import { hopsUsedUp, TTL_OPEN } from "../../trace/walk/hops-used-up.ts";
import { forwardingOff, notForwardingText } from "../../trace/walk/incoming-checks.ts";
import { ALL_PROTOCOLS, protocols } from "../compile/condition.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, NOTHING, singleSet, subtract, unite } from "../space/index-set.ts";
import type { Region } from "../space/region.ts";
import type { RouteClass } from "../space/route-classes.ts";
import { hopsLeft } from "./hops-left.ts";
import { byRoute, FOR_HOST, noRoute } from "./route-state.ts";
import type { SymbolicEnding, SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, join, next, type SymbolicResult, through } from "./symbolic-steps.ts";
import { walkHook } from "./walk-symbolic-hook.ts";

export function walkArriving(context: ProofContext, state: SymbolicState): SymbolicResult {
  return next(
    next(
      through(
        withoutSwitched(context, state).flatMap((one) => withoutUnreadable(context, one)),
        (one) => walkHook(context, one, "PREROUTING"),
      ),
      (one) => dropMartians(context, one),
    ),
    (one) => routeInput(context, one),
  );
}

/** Leaves out what a bridge switches from port to port without asking the rules. */
function withoutSwitched(context: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  const { view, space } = context;
  const { family } = space;
  if (state.inInterface?.kind !== "bySource") return [state];
  if (view.router.sysctl(`net.bridge.bridge-nf-call-${family === 4 ? "iptables" : "ip6tables"}`) === 1) return [state];
  let rest: readonly SymbolicState[] = [state];
  for (const device of view.state.interfaces) {
    if (!isBridge(device)) continue;
    rest = rest.flatMap((one) => withoutBridge(one, onLinkSet(context, device.name)));
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

/** The addresses in a device's subnets, and those of them that are the host's. */
function onLinkSet({ view, space, host }: Pick<ProofContext, "view" | "space" | "host">, name: string): OnLink {
  const addresses = view.router.interfaceOf(name)?.addresses ?? [];
  const own = addresses.filter(({ address }) => familyOf(address) === space.family);
  const behind = unite(own.map(({ address, prefixLength }) => space.setOf(cidrOf(address, prefixLength))));
  return { behind, own: intersect(behind, host.local) };
}

/** Leaves out what IPv6 throws away before any rule sees it. @see linux ip6_rcv_core */
function withoutUnreadable({ host, space }: ProofContext, state: SymbolicState): readonly SymbolicState[] {
  const { destination, region } = state;
  if (space.family === 4 || typeof destination === "number" || destination === "unknown") return [state];
  const readable = subtract(region[destination], host.loopback);
  return readable.length === 0 ? [] : [{ ...state, region: { ...region, [destination]: readable } }];
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
  const arriving = state.inInterface?.kind === "bySource" ? state.inInterface.arriving : host.arriving;
  const taken = unite([...arriving].filter(([device]) => isIpv4 && isOn(device)).map(([, sources]) => sources));
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

function routeInput(context: ProofContext, state: SymbolicState): SymbolicResult {
  const { toAll, others } = withoutSentToAll(context, state);
  return join(
    [...toAll.map((part) => ({ part, way: SENT_TO_ALL })), ...others.flatMap((one) => byRoute(context, one))].map(
      ({ part, way }) => {
        const route = way?.route;
        if (route === undefined || way?.unknown !== undefined) return noRoute(context, part, { way });
        if (FOR_HOST.includes(route.type))
          return next(walkHook(context, { ...part, route }, "INPUT"), (one) =>
            dropSentToAll(context, one, { protocols: BY_CONNECTION, because: "it came as a broadcast" }),
          );
        const { switched, routed } = divideSwitched(context, part, route);
        return join([
          ...switched.map((one) => leaveSwitched(context, { ...one, route, outInterface: route.interface })),
          ...routed
            .flatMap((one) => byForwarding(context, one))
            .map(({ one, off }) => {
              if (off !== undefined) return ends(one, { kind: "dropped", because: notForwardingText(off) });
              if (route.type !== "unicast") return noRoute(context, one, { way });
              const priority = context.space.family === 6 ? one.priority : priorityOf(one);
              return leave(context, { ...one, route, outInterface: route.interface, priority });
            }),
        ]);
      },
    ),
  );
}

const SENT_TO_ALL: RouteClass = { destinations: NOTHING, route: TO_ALL };

interface SentToAll {
  readonly toAll: readonly SymbolicState[];
  readonly others: readonly SymbolicState[];
}

/** 255.255.255.255 is the host's whatever its routes say. */
function withoutSentToAll({ space }: ProofContext, state: SymbolicState): SentToAll {
  const { destination, region } = state;
  if (space.family === 6 || TO_ALL === undefined || destination === "unknown") return { toAll: [], others: [state] };
  const limited = space.setOf(TO_ALL.destination);
  if (typeof destination === "number")
    return hasMember(limited, destination) ? { toAll: [state], others: [] } : { toAll: [], others: [state] };
  const part = (set: IndexSet) => (set.length === 0 ? [] : [{ ...state, region: { ...region, [destination]: set } }]);
  const inside = intersect(region[destination], limited);
  if (inside.length === 0) return { toAll: [], others: [state] };
  return { toAll: part(inside), others: part(subtract(region[destination], limited)) };
}

/** What an IP layer passes on. */
function leave(context: ProofContext, leaving: SymbolicState): SymbolicResult {
  const because = "it came as a broadcast, which is not passed on";
  return next(
    next(
      next(
        next(dropSentToAll(context, leaving, { protocols: ALL_PROTOCOLS, because }), (one) =>
          refuseUsedUp(context, one),
        ),
        (one) => dropBouncing(context, one),
      ),
      (one) => walkHook(context, one, "FORWARD"),
    ),
    (one) => walkHook(context, one, "POSTROUTING"),
  );
}

/** Refuses what has no hop left by what rules did to its TTL. */
function refuseUsedUp({ space }: ProofContext, state: SymbolicState): SymbolicResult {
  const left = hopsLeft(state.ttl);
  if (left === undefined) return ends(state, { kind: "undecided", because: TTL_OPEN });
  if (left === "enough" || left > 1) return goesOn(state);
  const { because, answer } = hopsUsedUp(space.family, left);
  return ends(state, { kind: "refused", because, answer });
}

/** A frame that goes from port to port of one bridge shows POSTROUTING no incoming interface. */
function leaveSwitched(context: ProofContext, state: SymbolicState): SymbolicResult {
  return next(
    next(dropBouncing(context, state), (one) => walkHook(context, one, "FORWARD")),
    (one) => walkHook(context, { ...one, inInterface: undefined }, "POSTROUTING"),
  );
}

interface BridgedOrNot {
  readonly switched: readonly SymbolicState[];
  readonly routed: readonly SymbolicState[];
}

/** Where rules see bridged frames, what goes back to the bridge by which it came is switched: to a neighbour on it, or by a new destination. */
function divideSwitched(context: ProofContext, state: SymbolicState, route: Route): BridgedOrNot {
  const { view, space } = context;
  const { inInterface, region, destination } = state;
  const bridge = route.interface ?? "";
  const device = view.router.interfaceOf(bridge);
  const asks = view.router.sysctl(`net.bridge.bridge-nf-call-${space.family === 4 ? "iptables" : "ip6tables"}`) === 1;
  if (route.type !== "unicast" || device === undefined || !isBridge(device) || !asks || inInterface === undefined)
    return { switched: [], routed: [state] };
  const all = region.source;
  const source =
    inInterface.kind === "bySource"
      ? intersect(all, inInterface.arriving.get(bridge) ?? NOTHING)
      : inInterface.name === bridge
        ? all
        : NOTHING;
  const isUntouched = destination === "destination" && state.direction === "ORIGINAL";
  const to = isUntouched ? intersect(region.destination, onLinkSet(context, bridge).behind) : region.destination;
  if (source.length === 0 || to.length === 0) return { switched: [], routed: [state] };
  const parts = [
    { ...region, source: subtract(all, source) },
    { ...region, source, destination: subtract(region.destination, to) },
  ].filter((part) => part.source.length > 0 && part.destination.length > 0);
  return {
    switched: [{ ...state, region: { ...region, source, destination: to } }],
    routed: parts.map((part) => ({ ...state, region: part })),
  };
}

/** IPv4 gives what it passes on the priority that its type of service says. */
function priorityOf({ tos }: SymbolicState): SymbolicState["priority"] {
  return tos.kept === 0 ? forwardedPriority(tos.flipped) : "unknown";
}

/** They take nothing that was sent to all. @see linux tcp_v4_rcv, sctp_rcv */
const BY_CONNECTION = protocols("tcp", "sctp", "dccp");

/** Drops what was sent to all on its link, whatever it was translated to since. @see linux ip_forward, ip6_forward */
function dropSentToAll(
  { host }: ProofContext,
  state: SymbolicState,
  { protocols: taken, because }: { readonly protocols: IndexSet; readonly because: string },
): SymbolicResult {
  const { region, direction, inInterface } = state;
  const toAll = intersect(region.destination, unite([host.typeSet("BROADCAST"), host.typeSet("MULTICAST")]));
  const protocol = intersect(region.protocol, taken);
  if (direction === "REPLY" || inInterface?.kind !== "bySource" || toAll.length === 0 || protocol.length === 0)
    return goesOn(state);
  const parts = [
    { ...region, destination: subtract(region.destination, toAll) },
    { ...region, destination: toAll, protocol: subtract(region.protocol, protocol) },
  ];
  return {
    going: parts
      .filter((part) => part.destination.length > 0 && part.protocol.length > 0)
      .map((part) => ({ ...state, region: part })),
    ended: [
      {
        state: { ...state, region: { ...region, destination: toAll, protocol } },
        ending: { kind: "dropped", because },
      },
    ],
  };
}

/** IPv4 forwards, or not, by the device by which a packet came in. */
function byForwarding(
  { view, space: { family } }: ProofContext,
  state: SymbolicState,
): readonly { readonly one: SymbolicState; readonly off: string | undefined }[] {
  const { inInterface, region } = state;
  if (family === 6 || inInterface?.kind !== "bySource") {
    const device = inInterface?.kind === "named" ? inInterface.name : undefined;
    return [{ one: state, off: forwardingOff(view, { family, device }) }];
  }
  const off = [...inInterface.arriving].flatMap(([device, sources]) => {
    const setting = forwardingOff(view, { family, device });
    return setting === undefined ? [] : [{ setting, source: intersect(region.source, sources) }];
  });
  const stuck = Map.groupBy(off, ({ setting }) => setting);
  const going = subtract(region.source, unite(off.map(({ source }) => source)));
  return [
    ...[...stuck].map(([setting, parts]) => ({ off: setting, source: unite(parts.map(({ source }) => source)) })),
    { off: undefined, source: going },
  ]
    .filter(({ source }) => source.length > 0)
    .map(({ off: setting, source }) => ({ one: { ...state, region: { ...region, source } }, off: setting }));
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
