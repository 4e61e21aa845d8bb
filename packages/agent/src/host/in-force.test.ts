import { exampleTopology, planHost } from "@svcproxy/topology";
import { expect, test } from "vitest";
import type { CarriedOut } from "../agent-options.ts";
import { InForce } from "./in-force.ts";

const plan = planHost(exampleTopology().topology, { host: "cloudos1" });

function outcome(more: Partial<CarriedOut> = {}): CarriedOut {
  return {
    ...{ plan, changed: new Set<string>(), isWhole: true, tookMs: 10, ports: [], programmed: [] },
    ...{
      deletedUdpFlows: { 4: 0, 6: 0 },
      settledUdpMs: undefined,
      ruleCounts: undefined,
      refusedPart: false,
      continues: false,
    },
    ...more,
  };
}

test("what could not be carried out takes time as well, and is no plan that was", () => {
  const inForce = new InForce();
  inForce.carriedOut(outcome({ changed: undefined, tookMs: 1_000 }));
  inForce.failed({ isPartial: true, tookMs: 500 });
  inForce.carriedOut(outcome());
  const { tries, fullTries, partialTries, failureCount, partialFailureCount } = inForce.measured;
  expect([tries.count, fullTries.count, partialTries.count]).toEqual([3, 1, 2]);
  expect(partialTries.sumSeconds).toBeCloseTo(0.51);
  expect([failureCount, partialFailureCount, inForce.applies.count]).toEqual([1, 1, 2]);
});

test("what went in only when all was looked at, or not for all services, is a failure", () => {
  const inForce = new InForce();
  const since = new Date();
  const port = { service: "default/web", portName: "", protocol: "tcp", port: 80, family: 4, since } as const;
  inForce.carriedOut(outcome({ refusedPart: true }));
  inForce.carriedOut(outcome({ changed: undefined, ports: [{ ...port, state: "failed" }] }));
  inForce.carriedOut(outcome({ ports: [{ ...port, state: "refused" }] }));
  const { tries, failureCount, partialFailureCount } = inForce.measured;
  expect([tries.count, failureCount, partialFailureCount]).toEqual([3, 2, 1]);
});

test("flows are counted by family, and so is what took how long to be in force", () => {
  const inForce = new InForce();
  inForce.carriedOut(outcome({ deletedUdpFlows: { 4: 2, 6: 1 }, programmed: [{ family: 6, seconds: 2 }] }));
  inForce.carriedOut(outcome({ deletedUdpFlows: { 4: 3, 6: 0 } }));
  const { deletedUdpFlows, programmingTimes } = inForce.measured;
  expect(deletedUdpFlows).toEqual({ 4: 5, 6: 1 });
  expect([programmingTimes[4].count, programmingTimes[6].count, programmingTimes[6].sumSeconds]).toEqual([0, 1, 2]);
});

test("whether something of ours was there is what the first plan met", () => {
  const [first, second] = [new InForce(), new InForce()];
  expect(first.continues).toBe(false);
  first.carriedOut(outcome({ continues: true }));
  first.carriedOut(outcome());
  second.carriedOut(outcome());
  second.carriedOut(outcome({ continues: true }));
  expect([first.continues, second.continues]).toEqual([true, false]);
});
