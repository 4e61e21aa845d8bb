import type { HostState, Outcome, Tracer } from "@svcproxy/rules";
import { type Family, formatSocketAddress, type HostPlan, parsePort, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { expectedReach, type Reached } from "./expected-reach.ts";
import { type Flow, flowsOf } from "./flow.ts";
import { flowHostState } from "./flow-host-state.ts";
import { EDGE, type FlowGround, flowAddress } from "./flow-places.ts";
import type { FlowSubject } from "./flow-subject.ts";
import { flowTopology } from "./flow-topology.ts";
import { FLOW_SCENARIOS } from "./scenarios/flow-scenarios.ts";

/** A data path whose rules the tracer can walk. */
export interface TracedSubject extends Pick<FlowSubject, "name" | "style" | "protocols" | "crowded"> {
  /** A tracer over the rules that this data path would write. */
  tracer(input: TracerInput): Tracer;
}

export interface TracerInput {
  readonly plan: HostPlan;
  readonly family: Family;
  readonly hostState: HostState;
}

/** One test for each scenario, subject, family and flow: where the tracer sends the first packet. */
export function describeTracedFlows(subjects: readonly TracedSubject[]): void {
  const settings = FLOW_SCENARIOS.flatMap((scenario) =>
    subjects.flatMap((subject) => ([4, 6] as const).map((family) => ({ scenario, subject, family }))),
  );
  describe.for(settings)("$scenario.name, $subject.name, IPv$family", ({ scenario, subject, family }) => {
    const topology = flowTopology(scenario, subject);
    const ground = { topology, family };
    const plan = planHost(topology, { host: EDGE });
    const tracer = subject.tracer({ plan, family, hostState: flowHostState(topology) });

    test.for(flowsOf(scenario, subject, family))("$name", (flow) => {
      const expected = expectedReach(flow, ground);
      const outcome = traced(flow, { tracer, ground });
      if (expected === "nobody's") expect(outcome).toBe("untouched");
      else expect(outcome).toEqual(expected === "kept off" ? "dropped" : expected);
    });
  });
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
