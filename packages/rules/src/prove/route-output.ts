import { goesByLoopback } from "../trace/routing.ts";
import { byRoute, FOR_HOST, noRoute } from "./by-route.ts";
import type { IndexSet } from "./index-set.ts";
import { intersect, subtract } from "./index-set.ts";
import type { ProofContext } from "./proof-context.ts";
import { goesOn, join } from "./stages.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import type { SymbolicResult } from "./walk-table.ts";

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
