import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { type Flow, type FlowScenario, flowsOf } from "./flow.ts";
import type { FlowSubject } from "./flow-subject.ts";
import { flowTopology } from "./flow-topology.ts";
import { createFlowWorld, type FlowWorld } from "./flow-world.ts";
import { playFlow, waitsForSilence } from "./play-flow.ts";
import { FLOW_SCENARIOS } from "./scenarios/flow-scenarios.ts";

/** A world with its host, pods and neighbours takes seconds to build, and each silence a second. */
const TIMEOUT_MS = 300_000;

/** Why flows cannot be played here; undefined: they can. @param tools what the data path needs */
export function whyNoFlows(tools: readonly string[]): string | undefined {
  return whyNoKernelTests(["ip", "nsenter", "python3", ...tools]);
}

/** One test for each scenario and subject: every flow that it promises, in both families, through the kernel. */
export function describeFlows(
  subjects: readonly FlowSubject[],
  { tools }: { readonly tools: readonly string[] },
): void {
  const reason = whyNoFlows(tools);
  const settings = FLOW_SCENARIOS.flatMap((scenario) => subjects.map((subject) => ({ scenario, subject })));
  describe.skipIf(reason !== undefined)(`flows through a kernel${reason === undefined ? "" : ` (${reason})`}`, () => {
    test.concurrent.for(settings)(
      "$scenario.name, $subject.name",
      { timeout: TIMEOUT_MS },
      async ({ scenario, subject }) => {
        await using world = await serveScenario(scenario, subject);
        const complaints = ([4, 6] as const).map(async (family) => {
          const flows = flowsOf(scenario, subject, family);
          const play = (flow: Flow) => playFlow(flow, { world, family, carries: subject.carries });
          // Those that wait for silence do so side by side; the others meet what the kernel remembers of a client.
          const waiting = Promise.all(flows.filter(waitsForSilence).map(play));
          const found: string[] = [];
          for (const flow of flows) if (!waitsForSilence(flow)) found.push(...(await play(flow)));
          return [...found, ...(await waiting).flat()];
        });
        expect((await Promise.all(complaints)).flat()).toEqual([]);
      },
    );
  });
}

/** The world of a scenario, whose host is served by a data path. */
export async function serveScenario(scenario: FlowScenario, subject: FlowSubject): Promise<FlowWorld> {
  await using stack = new AsyncDisposableStack();
  const topology = flowTopology(scenario, { crowded: subject.crowded });
  const world = stack.use(await createFlowWorld(scenario, topology));
  const serving = await subject.serve(world);
  if (serving !== undefined) stack.use(serving);
  const owned = stack.move();
  return { ...world, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
