import { createTracer, hostStateOf, type Outcome, type Tracer } from "@svcproxy/rules";
import {
  type ClientKind,
  cidrContains,
  type Dialect,
  type Family,
  type Frontend,
  formatSocketAddress,
  type HostPlan,
  type IpAddress,
  parsePort,
  planHost,
} from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileRules } from "../compile-rules.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import { fullRuleSet } from "../full-rule-set.ts";
import { flowAddress } from "./flow-addresses.ts";
import { FLOWS, type Flow } from "./flow-table.ts";
import { flowTopology } from "./flow-topology.ts";

/** `ip:port` of each endpoint, and whether it sees another address than the client's; or that there is none. */
type Reached = Readonly<Record<string, boolean>> | "refused" | "dropped";

interface Setting {
  readonly dialect: Dialect;
  readonly family: Family;
  readonly dispatch: DispatchMode;
}

const SETTINGS = (["document", "kubernetes"] as const).flatMap((dialect) =>
  ([4, 6] as const).flatMap((family) =>
    (["linear", "tree"] as const).map((dispatch): Setting => ({ dialect, family, dispatch })),
  ),
);

describe.for(SETTINGS)("in the $dialect dialect, IPv$family, dispatch $dispatch", (setting) => {
  const { dialect, family, dispatch } = setting;
  const topology = flowTopology({ crowded: dispatch === "tree" });
  const plan = planHost(topology, { host: "edge", dialect });
  const rules = fullRuleSet(compileRules(plan, { family, dispatch }));
  const tracer = createTracer({ rules, hostState: hostStateOf(topology, { host: "edge" }), plan });

  test.for(FLOWS.filter(({ only = dialect }) => only === dialect))("$name", (flow) => {
    const expected = expectedOf(flow, family);
    expect(planned(flow, { plan, family }), "what the host plan promises").toEqual(expected);
    expect(traced(flow, { tracer, family }), "where the rules send it").toEqual(expected);
  });
});

function expectedOf({ expected, from }: Flow, family: Family): Reached {
  if (typeof expected === "string") return expected;
  const port = parsePort(expected.port);
  if (port === undefined) throw new TypeError(`no port: ${expected.port}`);
  return Object.fromEntries(
    expected.endpoints.map((name) => [
      formatSocketAddress({ address: flowAddress(name, family), port }),
      expected.masquerade === "hairpin" ? name === from : expected.masquerade,
    ]),
  );
}

function planned(flow: Flow, { plan, family }: { plan: HostPlan; family: Family }): Reached {
  const from = flowAddress(flow.from, family);
  const { sourceRanges, clients } = frontendOf(flow, { plan, family });
  if (sourceRanges.length > 0 && !sourceRanges.some((range) => cidrContains(range, from))) return "dropped";
  const handling = clients[clientKind(plan, from)];
  if (handling.kind !== "forward") return handling.kind === "refuse" ? "refused" : "dropped";
  const { endpoints, masquerade } = handling;
  return Object.fromEntries(
    endpoints.map((endpoint) => [formatSocketAddress(endpoint), masquerade !== "hairpin" || endpoint.address === from]),
  );
}

function frontendOf(flow: Flow, { plan, family }: { plan: HostPlan; family: Family }): Frontend {
  const to = flowAddress(flow.to, family);
  for (const port of plan.ports) {
    if (port.family !== family || port.port.protocol !== (flow.protocol ?? "tcp")) continue;
    for (const frontend of port.frontends) {
      if (frontend.port === flow.port && frontend.addresses.includes(to)) return frontend;
    }
  }
  throw new TypeError(`nothing is promised on ${to} port ${flow.port}`);
}

function clientKind({ host, podDetector }: HostPlan, from: IpAddress): ClientKind {
  if (host.addresses.includes(from)) return "host";
  const cidrs = podDetector.kind === "source" ? podDetector.cidrs : [];
  return cidrs.some((cidr) => cidrContains(cidr, from)) ? "pod" : "outside";
}

function traced(flow: Flow, { tracer, family }: { tracer: Tracer; family: Family }): Reached {
  const { branches } = tracer.trace({
    from: flowAddress(flow.from, family),
    to: flowAddress(flow.to, family),
    port: flow.port,
    protocol: flow.protocol ?? "tcp",
  });
  // Affinity asks what the kernel remembers: whatever the answer, one of the endpoints gets it.
  const outcomes = branches.flatMap((branch): Outcome[] =>
    branch.kind === "decided" ? [branch.outcome] : branch.possible.map(({ outcome }) => outcome),
  );
  const [first] = outcomes;
  if (first?.verdict === "refused" || first?.verdict === "dropped") return first.verdict;
  return Object.fromEntries(outcomes.map((outcome) => [endpointText(outcome), outcome.masqueraded]));
}

function endpointText({ verdict, endpoint }: Outcome): string {
  const port = parsePort(endpoint?.ports?.from ?? 0);
  if (verdict !== "accepted" || endpoint === undefined || port === undefined) return verdict;
  return formatSocketAddress({ address: endpoint.address, port });
}
