import {
  type FoundElement,
  formatSetElement,
  type HostState,
  type NftElement,
  type Trace,
  traceToJson,
  type WalkEvent,
} from "@svcproxy/rules";
import {
  type ClientKind,
  type Endpoint,
  type Family,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  parseIpAddress,
  type Service,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type {
  CountedView,
  ElementView,
  FrontendView,
  HandlingView,
  PageEndpoint,
  RuleView,
  ServiceView,
} from "../model.ts";
import { chooseClient } from "./choose-client.ts";
import { countersOfRule, elementView } from "./listed-rules.ts";
import { pageService, serviceId } from "./overview-of.ts";
import type { HostTracer } from "./trace-packet.ts";

export const CLIENT_KINDS: readonly ClientKind[] = ["pod", "host", "outside"];

/** What carries a service out is told by following its packets: so many frontends are followed at most. */
const MAX_FOLLOWED = 48;

/** What one host does for a service: who may dial what, who answers, and the rules that see to it. */
export function viewService(
  service: Service,
  { plan, tracer, hostState }: { readonly plan: HostPlan; readonly tracer: HostTracer; readonly hostState: HostState },
): ServiceView {
  const { endpoints } = pageService(service);
  const ports = plan.ports.filter((port) => port.service === service || serviceId(port.service) === serviceId(service));
  const frontends = ports.flatMap((port) =>
    port.frontends.flatMap((frontend) =>
      frontend.addresses
        .filter((address) => familyOf(address) === port.family)
        .map((address) => frontendView({ port, frontend, address, endpoints, plan, hostState })),
    ),
  );
  return {
    id: serviceId(service),
    host: plan.host.name,
    frontends,
    endpoints,
    ...carriedOutBy(frontends, tracer),
  };
}

interface FrontendPlace {
  readonly port: ServicePortPlan;
  readonly frontend: Frontend;
  readonly address: IpAddress;
  readonly endpoints: readonly PageEndpoint[];
  readonly plan: HostPlan;
  readonly hostState: HostState;
}

function frontendView({ port, frontend, address, endpoints, plan, hostState }: FrontendPlace): FrontendView {
  const handling = (kind: ClientKind): HandlingView => {
    const planned = frontend.clients[kind];
    return planned.kind === "forward"
      ? { kind: "forward", endpoints: indexesOf(planned.endpoints, endpoints) }
      : { kind: planned.kind };
  };
  const examples = CLIENT_KINDS.flatMap((kind) => {
    const example = chooseClient(kind, { plan, hostState, family: port.family, frontend });
    return example === undefined ? [] : [[kind, example] as const];
  });
  return {
    kind: frontend.kind,
    portName: port.port.name,
    protocol: port.port.protocol,
    address,
    port: frontend.port,
    clients: { pod: handling("pod"), host: handling("host"), outside: handling("outside") },
    examples: Object.fromEntries(examples),
  };
}

function indexesOf(wanted: readonly Endpoint[], all: readonly PageEndpoint[]): readonly number[] {
  return wanted
    .map((endpoint) => all.findIndex(({ address, port }) => address === endpoint.address && port === endpoint.port))
    .filter((index) => index >= 0);
}

/** Every rule that takes some packet of the service, and every element at which one is found. */
function carriedOutBy(
  frontends: readonly FrontendView[],
  tracer: HostTracer,
): Pick<ServiceView, "rules" | "elements" | "rulesNote"> {
  const met = new MetByPackets();
  const followed = frontends.slice(0, MAX_FOLLOWED);
  for (const frontend of followed) for (const kind of CLIENT_KINDS) follow(frontend, { kind, tracer, met });
  const untold = frontends.length - followed.length;
  return {
    elements: met.elements(),
    rules: met.rules(),
    ...(untold > 0 ? { rulesNote: `${untold} more addresses of it were not followed` } : {}),
  };
}

/** What packets met, each once, however many met it. */
class MetByPackets {
  readonly #elements = new Map<NftElement, ElementView>();
  /** By chain, as they were met first, and in a chain by number. */
  readonly #chains = new Map<string, Map<number, RuleView>>();

  addElement(family: Family, { table, set, element }: FoundElement): void {
    if (this.#elements.has(element)) return;
    const text = formatSetElement(set, element);
    const place = { family, table: `${table.family} ${table.name}`, name: set.name, text };
    this.#elements.set(element, elementView(place, element));
  }

  addRule(rule: RuleView): void {
    const key = `${rule.family} ${rule.table}\n${rule.chain}`;
    const chain = this.#chains.get(key) ?? new Map<number, RuleView>();
    chain.set(rule.number, rule);
    this.#chains.set(key, chain);
  }

  /** Those of one set stand together. */
  elements(): readonly ElementView[] {
    const bySet = Map.groupBy(this.#elements.values(), ({ table, set }) => `${table}\n${set}`);
    return [...bySet.values()].flat();
  }

  rules(): readonly RuleView[] {
    return [...this.#chains.values()].flatMap((chain) => [...chain.values()].sort((a, b) => a.number - b.number));
  }
}

interface Following {
  readonly kind: ClientKind;
  readonly tracer: HostTracer;
  readonly met: MetByPackets;
}

function follow({ examples, address, port, protocol }: FrontendView, { kind, tracer, met }: Following): void {
  const from = parseIpAddress(examples[kind] ?? "");
  const to = parseIpAddress(address);
  if (from === undefined || to === undefined) return;
  const family = familyOf(from);
  const request = { from, to, port, protocol: protocol.toLowerCase() };
  const trace = tryTrace(() => tracer.trace(request, (found) => met.addElement(family, found)));
  if (trace === undefined) return;
  const counters = countersOf(trace);
  for (const { steps } of traceToJson(trace).branches)
    for (const step of steps) {
      if (step.kind !== "rule" || !step.matched) continue;
      const { table, chain, number, rule } = step;
      met.addRule({ family, table, chain, number, rule, ...counters.get(`${table}\n${chain}\n${number}`) });
    }
}

/** A machine may have no way by which such a client comes in: then there is nothing to follow. */
function tryTrace(trace: () => Trace): Trace | undefined {
  try {
    return trace();
  } catch {
    return undefined;
  }
}

function countersOf({ branches }: Trace): ReadonlyMap<string, CountedView> {
  const found = new Map<string, CountedView>();
  for (const branch of branches) {
    let node = branch.kind === "undecided" ? branch.question.past : branch.ended.state.past;
    for (; node !== undefined; node = node.earlier) {
      const counted = countersOfEvent(node.event);
      if (counted !== undefined) found.set(counted.key, counted.counters);
    }
  }
  return found;
}

function countersOfEvent(event: WalkEvent): { readonly key: string; readonly counters: CountedView } | undefined {
  if (event.kind !== "rule") return undefined;
  const counters = countersOfRule(event.rule);
  return counters === undefined ? undefined : { key: `${event.table}\n${event.chain}\n${event.number}`, counters };
}
