import { isDeepStrictEqual } from "node:util";
import type { ClientKind } from "@svcproxy/topology";
import { type MutableFrontendCounters, newFrontendCounters } from "./counters.ts";
import type { EndpointState, EndpointTable } from "./endpoint-table.ts";
import type { EndpointHandling, FrontendSpec } from "./frontend-spec.ts";

type Handling = EndpointHandling<EndpointState>;

/** A frontend as one worker serves it. */
export class WorkerFrontend {
  spec: FrontendSpec;
  readonly counters: MutableFrontendCounters = newFrontendCounters();
  /** Set where every client gets the same: then nobody needs to know who it is. */
  commonHandling: Handling | undefined = undefined;
  #clients: Readonly<Record<ClientKind, Handling>>;

  constructor(spec: FrontendSpec, endpoints: EndpointTable) {
    this.spec = spec;
    this.#clients = this.#resolve(spec, endpoints);
  }

  /** A new plan: counters and connections stay. */
  update(spec: FrontendSpec, endpoints: EndpointTable): void {
    this.spec = spec;
    this.#clients = this.#resolve(spec, endpoints);
  }

  #resolve({ clients: { pod, host, outside }, sourceRanges }: FrontendSpec, endpoints: EndpointTable) {
    const resolve = (handling: EndpointHandling<string>): Handling =>
      handling.kind === "forward" ? { kind: "forward", endpoints: endpoints.find(handling.endpoints) } : handling;
    const isSame = (a: EndpointHandling<string>, b: EndpointHandling<string>) => a === b || isDeepStrictEqual(a, b);
    // Most frontends do the same for every client.
    const forPod = resolve(pod);
    const forHost = isSame(host, pod) ? forPod : resolve(host);
    const forOutside = isSame(outside, host) ? forHost : resolve(outside);
    this.commonHandling =
      forPod === forHost && forHost === forOutside && sourceRanges.length === 0 ? forPod : undefined;
    return { pod: forPod, host: forHost, outside: forOutside };
  }

  handlingFor(kind: ClientKind): Handling {
    return this.#clients[kind];
  }

  /** Whether some kind of client may still be sent to this endpoint. */
  leadsTo(endpoint: EndpointState): boolean {
    return Object.values(this.#clients).some(
      (handling) => handling.kind === "forward" && handling.endpoints.includes(endpoint),
    );
  }
}
