import {
  type AnyRule,
  exampleClients,
  type HostState,
  ruleCounters,
  type Trace,
  traceToJson,
  type WalkEvent,
} from "@svcproxy/rules";
import {
  type ClientKind,
  type Endpoint,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  parseIpAddress,
  type Service,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { FrontendView, HandlingView, PageEndpoint, RuleView, ServiceView } from "../model.ts";
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
    ...rulesOf(frontends, tracer),
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
    const example = exampleClients(kind, { plan, hostState, family: port.family, frontend })[0];
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

/** Every rule that some packet of the service meets and that takes it. */
function rulesOf(frontends: readonly FrontendView[], tracer: HostTracer): Pick<ServiceView, "rules" | "rulesNote"> {
  const found = new Map<string, RuleView>();
  const followed = frontends.slice(0, MAX_FOLLOWED);
  for (const frontend of followed)
    for (const kind of CLIENT_KINDS)
      for (const rule of rulesMet(frontend, { kind, tracer })) found.set(keyOf(rule), rule);
  const untold = frontends.length - followed.length;
  return {
    rules: [...found.values()],
    ...(untold > 0 ? { rulesNote: `${untold} more addresses of it were not followed` } : {}),
  };
}

function keyOf({ table, chain, number }: RuleView): string {
  return `${table}\n${chain}\n${number}`;
}

function rulesMet(
  { examples, address, port, protocol }: FrontendView,
  { kind, tracer }: { readonly kind: ClientKind; readonly tracer: HostTracer },
): readonly RuleView[] {
  const from = parseIpAddress(examples[kind] ?? "");
  const to = parseIpAddress(address);
  if (from === undefined || to === undefined) return [];
  const trace = tryTrace(() => tracer.trace({ from, to, port, protocol: protocol.toLowerCase() }));
  if (trace === undefined) return [];
  const counters = countersOf(trace);
  return traceToJson(trace).branches.flatMap(({ steps }) =>
    steps.flatMap((step): readonly RuleView[] => {
      if (step.kind !== "rule" || !step.matched) return [];
      const { table, chain, number, rule } = step;
      return [{ table, chain, number, rule, ...counters.get(`${table}\n${chain}\n${number}`) }];
    }),
  );
}

/** A machine may have no way by which such a client comes in: then there is nothing to follow. */
function tryTrace(trace: () => Trace): Trace | undefined {
  try {
    return trace();
  } catch {
    return undefined;
  }
}

type Counted = Pick<RuleView, "packets" | "bytes">;

function countersOf({ branches }: Trace): ReadonlyMap<string, Counted> {
  const found = new Map<string, Counted>();
  for (const branch of branches) {
    let node = branch.kind === "undecided" ? branch.question.past : branch.ended.state.past;
    for (; node !== undefined; node = node.earlier) {
      const counted = countersOfEvent(node.event);
      if (counted !== undefined) found.set(counted.key, counted.counters);
    }
  }
  return found;
}

function countersOfEvent(event: WalkEvent): { readonly key: string; readonly counters: Counted } | undefined {
  if (event.kind !== "rule") return undefined;
  const counters = countersOfRule(event.rule);
  return counters === undefined ? undefined : { key: `${event.table}\n${event.chain}\n${event.number}`, counters };
}

function countersOfRule(rule: AnyRule): Counted | undefined {
  const counters = ruleCounters(rule);
  if (counters === undefined) return undefined;
  return {
    packets: Number(counters.packets),
    ...(counters.bytes === undefined ? {} : { bytes: Number(counters.bytes) }),
  };
}
