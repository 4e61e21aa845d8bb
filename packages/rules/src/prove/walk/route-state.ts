import { goesByLoopback } from "../../host/routing.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { RouteClass } from "../space/host-space.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, subtract } from "../space/index-set.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, join, type SymbolicResult } from "./symbolic-steps.ts";

/** One part of a state for each route that its destinations have. */
export function byRoute(
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

export const FOR_HOST: readonly string[] = ["local", "broadcast", "multicast", "anycast"];

export function noRoute(state: SymbolicState, way: RouteClass | undefined): SymbolicResult {
  if (way === undefined) return ends(state, { kind: "undecided", because: "where it goes is not known" });
  if (way.unknown !== undefined) return ends(state, { kind: "undecided", because: way.unknown });
  if (way.route === undefined) return ends(state, { kind: "refused", because: "no route leads there" });
  return way.route.type === "blackhole"
    ? ends(state, { kind: "dropped", because: "the route is a blackhole" })
    : ends(state, { kind: "refused", because: `the route is ${way.route.type}` });
}

export function loopbackName({ view }: ProofContext): string {
  return view.state.interfaces.find(({ isLoopback }) => isLoopback)?.name ?? "lo";
}

export function leavesBy(context: ProofContext, { route }: SymbolicState): string | undefined {
  return route !== undefined && goesByLoopback(route) ? loopbackName(context) : route?.interface;
}

export function routeOutput(
  context: ProofContext,
  state: SymbolicState,
  { isFirst }: { isFirst: boolean },
): SymbolicResult {
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
