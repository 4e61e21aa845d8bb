import type { RouteClass } from "./host-space.ts";
import { hasMember, intersect } from "./index-set.ts";
import type { ProofContext } from "./proof-context.ts";
import { ends } from "./stages.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./walk-table.ts";

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
