import { expect, test } from "vitest";
import { exampleHostAgentStatus } from "../../testing/example-host-agent-status.ts";
import { healthBody } from "./health-body.ts";

const NOW = new Date("2026-01-01T00:10:00.000Z");
const HEALTHZ = { page: "healthz", now: NOW } as const;
const LIVEZ = { page: "livez", now: NOW } as const;

test("kube-proxy's members stand in the body, and the source's state beside them", () => {
  expect(healthBody(exampleHostAgentStatus(), HEALTHZ)).toMatchObject({
    isWell: true,
    body: {
      lastUpdated: "2026-01-01T00:10:00.000Z",
      currentTime: "2026-01-01T00:10:00.000Z",
      nodeEligible: true,
      healthy: true,
      status: { IPv4: { lastUpdated: "2026-01-01T00:01:00.000Z", healthy: true } },
      state: "following",
      source: { name: "/etc/svcproxy/topology.yaml" },
    },
  });
  expect(healthBody(exampleHostAgentStatus(), LIVEZ).body).not.toHaveProperty("nodeEligible");
});

test("what is degraded or stale stays healthy, and the body says so", () => {
  for (const state of ["degraded", "stale"] as const) {
    const { isWell, body } = healthBody({ ...exampleHostAgentStatus(), state }, HEALTHZ);
    expect([isWell, body.healthy, body.state]).toEqual([true, true, state]);
  }
});

test("before the first plan it is healthy, and no family was updated", () => {
  const { appliedAt: _, ...status } = exampleHostAgentStatus();
  const { isWell, body } = healthBody({ ...status, state: "starting", ports: [] }, HEALTHZ);
  expect([isWell, body.healthy, body.status]).toEqual([true, true, {}]);
});

test("work that does not end for more than a minute is unhealthy, and the last update is told as it was", () => {
  const busySince = (seconds: number) => new Date(NOW.getTime() - seconds * 1000).toISOString();
  const told = (seconds: number) => healthBody({ ...exampleHostAgentStatus(), busySince: busySince(seconds) }, LIVEZ);
  expect([told(59).isWell, told(61).isWell]).toEqual([true, false]);
  expect(told(61).body).toMatchObject({ healthy: false, lastUpdated: "2026-01-01T00:01:00.000Z" });
  const { appliedAt: _, ...never } = exampleHostAgentStatus();
  const { body } = healthBody({ ...never, busySince: busySince(61) }, LIVEZ);
  expect(body.lastUpdated).toBe("0001-01-01T00:00:00Z");
});

test("a node that is about to go is well for its probe, and not for balancers", () => {
  const status = exampleHostAgentStatus();
  const leaving = { ...status, source: { ...status.source, nodeEligible: false } };
  expect(healthBody(leaving, LIVEZ).isWell).toBe(true);
  expect(healthBody(leaving, HEALTHZ)).toMatchObject({
    isWell: false,
    body: { healthy: true, nodeEligible: false, lastUpdated: "2026-01-01T00:01:00.000Z" },
  });
});

test("balancers are told how many entries are refused and since when nothing newer comes, and no name of a service", () => {
  const problem = {
    code: "BAD_ADDRESS",
    severity: "error",
    subject: "service default/web",
    text: "web is not well",
  } as const;
  const since = "2026-01-01T00:05:00.000Z";
  const refused = [{ entry: "service default/web", isKept: true, since, problems: [problem] as const }];
  const status = exampleHostAgentStatus();
  const source = { ...status.source, refused, fault: { since, problems: [problem, problem] } };
  const { body } = healthBody({ ...status, source }, HEALTHZ);
  expect(body.source).toMatchObject({ refused: 1, fault: { since, codes: ["BAD_ADDRESS"] } });
  expect(JSON.stringify(body)).not.toContain("web");
});
