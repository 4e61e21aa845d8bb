import { createTracer, type Outcome, type Tracer } from "@svcproxy/rules";
import {
  type ClientKind,
  cidrContains,
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
import type { Dialect } from "../dialect.ts";
import type { DispatchMode } from "../dispatch/dispatch-mode.ts";
import { fullRuleSet } from "../full-rule-set.ts";
import { type Flow, type FlowScenario, flowsOf } from "./flow.ts";
import { flowHostState } from "./flow-host-state.ts";
import { DEVICES, EDGE, type FlowGround, flowAddress, quarterOf } from "./flow-places.ts";
import { flowTopology } from "./flow-topology.ts";
import { FLOW_SCENARIOS } from "./scenarios/flow-scenarios.ts";

/** `ip:port` of each endpoint, and whether it sees another address than the client's; or that there is none. */
type Reached = Readonly<Record<string, boolean>> | "refused" | "dropped";

interface Setting {
  readonly scenario: FlowScenario;
  readonly dialect: Dialect;
  readonly family: Family;
  readonly dispatch: DispatchMode;
}

const SETTINGS = FLOW_SCENARIOS.flatMap((scenario) =>
  (["document", "kubernetes"] as const).flatMap((dialect) =>
    ([4, 6] as const).flatMap((family) =>
      (["linear", "tree"] as const).map((dispatch): Setting => ({ scenario, dialect, family, dispatch })),
    ),
  ),
);

describe.for(SETTINGS)("$scenario.name, in the $dialect dialect, IPv$family, dispatch $dispatch", (setting) => {
  const { scenario, dialect, family, dispatch } = setting;
  const topology = flowTopology(scenario, { crowded: dispatch === "tree" });
  const ground = { topology, family };
  const plan = planHost(topology, { host: EDGE });
  const rules = fullRuleSet(compileRules(plan, { dialect, family, dispatch }));
  const tracer = createTracer({ rules, hostState: flowHostState(topology), plan });

  test.for(flowsOf(scenario, setting))("$name", (flow) => {
    const expected = expectedOf(flow, ground);
    expect(planned(flow, { plan, ground }), "what the host plan promises").toEqual(expected.promise);
    expect(traced(flow, { tracer, ground }), "where the rules send it").toEqual(expected.trace);
  });
});

interface Expected {
  readonly promise: Reached | "nothing";
  readonly trace: Reached | "untouched";
}

function expectedOf({ expected, from }: Flow, ground: FlowGround): Expected {
  if (expected === "kept off") return { promise: "nothing", trace: "dropped" };
  if (typeof expected === "string") return { promise: expected, trace: expected };
  if ("leftTo" in expected) return { promise: "nothing", trace: "untouched" };
  const port = parsePort(expected.port);
  if (port === undefined) throw new TypeError(`no port: ${expected.port}`);
  const reached = Object.fromEntries(
    expected.endpoints.map((name) => [
      formatSocketAddress({ address: flowAddress(name, ground), port }),
      expected.masquerade === "hairpin" ? name === from : expected.masquerade,
    ]),
  );
  return { promise: reached, trace: reached };
}

function planned(flow: Flow, { plan, ground }: { plan: HostPlan; ground: FlowGround }): Reached | "nothing" {
  const from = flowAddress(flow.from, ground);
  const frontend = frontendOf(flow, { plan, ground });
  if (frontend === undefined) return "nothing";
  const { sourceRanges, clients } = frontend;
  if (sourceRanges.length > 0 && !sourceRanges.some((range) => cidrContains(range, from))) return "dropped";
  const handling = clients[clientKind(from, { plan, ground })];
  if (handling.kind !== "forward") return handling.kind === "refuse" ? "refused" : "dropped";
  const { endpoints, masquerade } = handling;
  return Object.fromEntries(
    endpoints.map((endpoint) => [formatSocketAddress(endpoint), masquerade !== "hairpin" || endpoint.address === from]),
  );
}

function frontendOf(flow: Flow, { plan, ground }: { plan: HostPlan; ground: FlowGround }): Frontend | undefined {
  const to = flowAddress(flow.to, ground);
  return plan.ports
    .filter(({ family, port }) => family === ground.family && port.protocol === (flow.protocol ?? "tcp"))
    .flatMap(({ frontends }) => frontends)
    .find(({ port, addresses }) => port === flow.port && addresses.includes(to));
}

function clientKind(from: IpAddress, { plan, ground }: { plan: HostPlan; ground: FlowGround }): ClientKind {
  const quarter = quarterOf(from, ground);
  if (quarter === "host") return "host";
  return isPod(plan, { from, device: DEVICES[quarter] }) ? "pod" : "outside";
}

function isPod({ podDetector }: HostPlan, { from, device }: { from: IpAddress; device: string }): boolean {
  switch (podDetector.kind) {
    case "none":
      return false;
    case "source":
      return podDetector.cidrs.some((cidr) => cidrContains(cidr, from));
    case "bridge":
      return device === podDetector.interface;
    case "interfacePrefix":
      return device.startsWith(podDetector.prefix);
  }
}

function traced(flow: Flow, { tracer, ground }: { tracer: Tracer; ground: FlowGround }): Reached | "untouched" {
  const { branches } = tracer.trace({
    from: flowAddress(flow.from, ground),
    to: flowAddress(flow.to, ground),
    port: flow.port,
    protocol: flow.protocol ?? "tcp",
  });
  // Affinity asks what the kernel remembers: whatever the answer, one of the endpoints gets it.
  const outcomes = branches.flatMap((branch): Outcome[] =>
    branch.kind === "decided" ? [branch.outcome] : branch.possible.map(({ outcome }) => outcome),
  );
  const [first] = outcomes;
  if (first?.verdict === "refused" || first?.verdict === "dropped" || first?.verdict === "untouched")
    return first.verdict;
  return Object.fromEntries(outcomes.map((outcome) => [endpointText(outcome), outcome.masqueraded]));
}

function endpointText({ verdict, endpoint }: Outcome): string {
  const port = parsePort(endpoint?.ports?.from ?? 0);
  if (verdict !== "accepted" || endpoint === undefined || port === undefined) return verdict;
  return formatSocketAddress({ address: endpoint.address, port });
}
