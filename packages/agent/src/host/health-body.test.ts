import { expect, test } from "vitest";
import { exampleHostAgentStatus } from "../testing/example-host-agent-status.ts";
import { healthBody } from "./health-body.ts";

const NOW = new Date("2026-01-01T00:10:00.000Z");

test("kube-proxy's members stand in the body, and the source's state beside them", () => {
  expect(healthBody(exampleHostAgentStatus(), NOW)).toMatchObject({
    lastUpdated: "2026-01-01T00:01:00.000Z",
    currentTime: "2026-01-01T00:10:00.000Z",
    nodeEligible: true,
    healthy: true,
    status: { IPv4: { lastUpdated: "2026-01-01T00:01:00.000Z", healthy: true } },
    state: "following",
    source: { name: "/etc/svcproxy/topology.yaml" },
  });
});

test("what is degraded or stale stays healthy, and the body says so", () => {
  for (const state of ["degraded", "stale"] as const) {
    expect(healthBody({ ...exampleHostAgentStatus(), state }, NOW)).toMatchObject({ healthy: true, state });
  }
});

test("work that does not end for more than a minute is unhealthy", () => {
  const busySince = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
  const healthy = (seconds: number) =>
    healthBody({ ...exampleHostAgentStatus(), busySince: busySince(seconds) }, NOW).healthy;
  expect([healthy(59), healthy(61)]).toEqual([true, false]);
});
