import { goesByLoopback } from "../../host/routing.ts";
import { icmpAnswer } from "../../trace/walk/refusal-answer.ts";
import type { ProofContext } from "../compile/proof-context.ts";
import type { IndexSet } from "../space/index-set.ts";
import { hasMember, intersect, subtract } from "../space/index-set.ts";
import type { RouteClass } from "../space/route-classes.ts";
import { askRule } from "./ask-rule.ts";
import type { SymbolicState } from "./symbolic-state.ts";
import { ends, goesOn, join, type SymbolicResult } from "./symbolic-steps.ts";

interface RoutedPart {
  readonly part: SymbolicState;
  readonly way: RouteClass | undefined;
}

/** One part of a state for each route that its packets have. `isAgain`: a rule of OUTPUT made the kernel look once more. */
export function byRoute(context: ProofContext, state: SymbolicState, isAgain = false): readonly RoutedPart[] {
  const { routes } = context.host;
  if (routes !== undefined) return byClass(state, routes).found;
  const found: RoutedPart[] = [];
  const work: { readonly state: SymbolicState; readonly at: number }[] = [{ state, at: 0 }];
  for (let job = work.pop(); job !== undefined; job = work.pop()) {
    const { at } = job;
    const step = context.policy[at];
    if (step === undefined) {
      found.push({ part: job.state, way: NO_ROUTE });
      continue;
    }
    const { taken, passed } = askRule(job.state, isAgain ? step.again : step.rule, context.host);
    const met = taken === undefined ? [] : [taken];
    for (const one of step.negated ? met : passed) work.push({ state: one, at: at + 1 });
    for (const one of step.negated ? passed : met) {
      context.count();
      if (step.action.kind === "goto") work.push({ state: one, at: step.action.step });
      else if (step.action.kind === "refuse") found.push({ part: one, way: step.action.way });
      else {
        const { classes, unknown } = step.action;
        const ways = byClass(one, classes);
        for (const { part, way } of ways.found)
          found.push({ part, way: way === undefined || unknown === undefined ? way : { ...way, unknown } });
        for (const rest of ways.rest) work.push({ state: rest, at: at + 1 });
      }
    }
  }
  return found;
}

const NO_ROUTE: RouteClass = { destinations: [], route: undefined };

/** Divides a state by where its destination is sent; `rest` has the packets of which no class tells. */
function byClass(
  state: SymbolicState,
  classes: readonly RouteClass[],
): { readonly found: readonly RoutedPart[]; readonly rest: readonly SymbolicState[] } {
  const { destination } = state;
  if (destination === "unknown") return { found: [{ part: state, way: undefined }], rest: [] };
  if (typeof destination === "number") {
    const way = classes.find(({ destinations }) => hasMember(destinations, destination));
    return way === undefined ? { found: [], rest: [state] } : { found: [{ part: state, way }], rest: [] };
  }
  const set = state.region[destination];
  const part = (taken: IndexSet): SymbolicState =>
    taken === set ? state : { ...state, region: { ...state.region, [destination]: taken } };
  let rest = set;
  const found: RoutedPart[] = [];
  for (const way of classes) {
    const taken = intersect(set, way.destinations);
    if (taken.length === 0) continue;
    rest = subtract(rest, taken);
    found.push({ part: part(taken), way });
  }
  return { found, rest: rest.length === 0 ? [] : [part(rest)] };
}

export const FOR_HOST: readonly string[] = ["local", "broadcast", "multicast", "anycast"];

export function noRoute(
  { space }: ProofContext,
  state: SymbolicState,
  { way, isSilent = false }: { readonly way: RouteClass | undefined; readonly isSilent?: boolean },
): SymbolicResult {
  if (way === undefined) return ends(state, { kind: "undecided", because: "where it goes is not known" });
  if (way.unknown !== undefined) return ends(state, { kind: "undecided", because: way.unknown });
  const type = way.route?.type ?? "none";
  const because = way.route === undefined ? "no route leads there" : `the route is ${type}`;
  if (type === "blackhole" || isSilent) return ends(state, { kind: "dropped", because });
  const answer = state.isLocal ? ({ kind: "told" } as const) : icmpAnswer(type, space.family);
  return ends(state, { kind: "refused", because, answer });
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
    byRoute(context, state, !isFirst).map(({ part, way }): SymbolicResult => {
      const route = way?.route;
      // What a rule of OUTPUT sent nowhere is lost in silence.
      const failed = { way, isSilent: !isFirst };
      if (route === undefined || way?.unknown !== undefined) return noRoute(context, part, failed);
      if (route.type !== "unicast" && !FOR_HOST.includes(route.type)) return noRoute(context, part, failed);
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
