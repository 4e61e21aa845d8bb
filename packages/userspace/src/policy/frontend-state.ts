import type { ClientKind } from "@svcproxy/topology";
import { type MutableFrontendCounters, newFrontendCounters } from "./counters.ts";
import type { EndpointState, EndpointTable } from "./endpoint-table.ts";
import type { FrontendSpec, Treatment } from "./frontend-spec.ts";

export type Route =
  | { readonly kind: "forward"; readonly endpoints: readonly EndpointState[] }
  | { readonly kind: "refuse" }
  | { readonly kind: "drop" };

/** A frontend as one worker serves it. */
export class FrontendState {
  spec: FrontendSpec;
  readonly counters: MutableFrontendCounters = newFrontendCounters();
  #routes: Readonly<Record<ClientKind, Route>>;
  /** Set where every client gets the same: then nobody needs to know who it is. */
  commonRoute: Route | undefined;

  constructor(spec: FrontendSpec, endpoints: EndpointTable) {
    this.spec = spec;
    this.#routes = compileRoutes(spec, endpoints);
    this.commonRoute = commonRoute(spec, this.#routes);
  }

  /** A new plan: counters and connections stay. */
  update(spec: FrontendSpec, endpoints: EndpointTable): void {
    this.spec = spec;
    this.#routes = compileRoutes(spec, endpoints);
    this.commonRoute = commonRoute(spec, this.#routes);
  }

  routeFor(kind: ClientKind): Route {
    return this.#routes[kind];
  }

  /** Whether some kind of client may still be sent to this endpoint. */
  leadsTo(endpoint: EndpointState): boolean {
    return Object.values(this.#routes).some((route) => route.kind === "forward" && route.endpoints.includes(endpoint));
  }
}

function compileRoutes(spec: FrontendSpec, endpoints: EndpointTable): Readonly<Record<ClientKind, Route>> {
  const compile = (treatment: Treatment): Route =>
    treatment.kind === "forward"
      ? { kind: "forward", endpoints: treatment.endpoints.map((target) => endpoints.get(target)) }
      : treatment;
  const { pod, host, outside } = spec.clients;
  // Most frontends treat everybody alike.
  const forPod = compile(pod);
  const forHost = host === pod ? forPod : compile(host);
  return { pod: forPod, host: forHost, outside: outside === host ? forHost : compile(outside) };
}

function commonRoute(spec: FrontendSpec, { pod, host, outside }: Record<ClientKind, Route>): Route | undefined {
  const same = isSameRoute(pod, host) && isSameRoute(host, outside);
  return same && spec.sourceRanges.length === 0 ? pod : undefined;
}

function isSameRoute(a: Route, b: Route): boolean {
  if (a === b) return true;
  if (a.kind !== "forward" || b.kind !== "forward") return a.kind === b.kind;
  return (
    a.endpoints.length === b.endpoints.length && a.endpoints.every((endpoint, index) => endpoint === b.endpoints[index])
  );
}
