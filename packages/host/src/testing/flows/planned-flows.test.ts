import {
  type ClientKind,
  cidrContains,
  type Frontend,
  formatSocketAddress,
  type HostPlan,
  type IpAddress,
  planHost,
} from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { expectedReach, type Reached } from "./expected-reach.ts";
import type { Flow } from "./flow.ts";
import { DEVICES, EDGE, type FlowGround, flowAddress, quarterOf } from "./flow-places.ts";
import { flowTopology } from "./flow-topology.ts";
import { FLOW_SCENARIOS } from "./scenarios/flow-scenarios.ts";

const SETTINGS = FLOW_SCENARIOS.flatMap((scenario) => ([4, 6] as const).map((family) => ({ scenario, family })));

describe.for(SETTINGS)("the plan promises: $scenario.name, IPv$family", ({ scenario, family }) => {
  const topology = flowTopology(scenario, { crowded: false });
  const ground = { topology, family };
  const plan = planHost(topology, { host: EDGE });

  test.for(scenario.flows.filter((flow) => (flow.family ?? family) === family))("$name", (flow) => {
    const expected = expectedReach(flow, ground);
    expect(planned(flow, { plan, ground })).toEqual(expected === "kept off" ? "nobody's" : expected);
  });
});

function planned(flow: Flow, { plan, ground }: { plan: HostPlan; ground: FlowGround }): Reached | "nobody's" {
  const from = flowAddress(flow.from, ground);
  const frontend = frontendOf(flow, { plan, ground });
  if (frontend === undefined) return "nobody's";
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
