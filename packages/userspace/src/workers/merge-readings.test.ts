import { expect, test } from "vitest";
import { newEndpointCounters, newFrontendCounters, observe } from "../policy/counters.ts";
import type { EndpointStatus } from "../proxy-status.ts";
import { ip, portOf } from "../testing/loopback-plan.ts";
import { mergeEndpoints, mergeFrontendCounters, mergeLimits } from "./merge-readings.ts";

function endpoint(state: EndpointStatus["state"], dialSeconds: number): EndpointStatus {
  const counters = newEndpointCounters();
  counters.connections = 2;
  counters.dialFailures["ECONNREFUSED"] = 1;
  observe(counters.dialTime, dialSeconds);
  return {
    ...{ key: "tcp 10.0.0.1:80", protocol: "tcp", address: ip("10.0.0.1"), port: portOf(80), services: [] },
    ...{ state, ejectedForMs: 0, counters },
  };
}

test("the limits hold where no worker runs", () => {
  const { openFiles, connections } = mergeLimits([], { maxConnections: 0, maxUdpSessions: 7 });
  expect(openFiles).toBeLessThan(Number.POSITIVE_INFINITY);
  expect(connections).toBeGreaterThan(0);
  expect(connections).toBeLessThan(openFiles);
});

test("counters of workers are added up, and the worst state counts", () => {
  const frontend = () => ({ key: "f", counters: { ...newFrontendCounters(), connections: 3, bytesToClient: 10 } });
  const readings = [
    { frontends: [frontend()], endpoints: [endpoint("up", 0.000_05)] },
    { frontends: [frontend()], endpoints: [endpoint("ejected", 100)] },
  ];
  expect(mergeFrontendCounters(readings).get("f")).toMatchObject({ connections: 6, bytesToClient: 20 });
  const [merged] = mergeEndpoints(readings);
  expect(merged).toMatchObject({ state: "ejected", counters: { connections: 4, dialFailures: { ECONNREFUSED: 2 } } });
  const { counts, sumSeconds } = merged?.counters.dialTime ?? { counts: [], sumSeconds: 0 };
  expect([counts.at(0), counts.at(-1), sumSeconds]).toEqual([1, 1, 100.000_05]);
});
