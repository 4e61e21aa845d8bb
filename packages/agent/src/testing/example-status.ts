import { parseIpAddress, parsePort } from "@svcproxy/topology";
import {
  DIAL_TIME_BUCKETS_SECONDS,
  type EndpointStatus,
  type FrontendStatus,
  newEndpointCounters,
  newFrontendCounters,
} from "@svcproxy/userspace";
import type { UserspaceStatus } from "../userspace/userspace-status.ts";

/** A small proxy with one of everything, for the tests of what shows a status. */
export function exampleStatus(change: Partial<UserspaceStatus> = {}): UserspaceStatus {
  return {
    version: "1.2.3",
    pid: 4711,
    startedAt: "2026-01-01T00:00:00.000Z",
    host: "cloudos1",
    topology: { file: "cloudos.yaml", loadedAt: "2026-01-01T00:01:00.000Z" },
    ready: true,
    generations: [],
    vipsNotLocal: {},
    state: "running",
    workers: [
      {
        pid: 4711,
        index: 0,
        state: "running",
        restarts: 2,
        connections: 3,
        udpSessions: 1,
        residentBytes: 60 * 1024 * 1024,
        loopDelayP50Ms: 0.5,
        loopDelayP99Ms: 4,
        loopDelayMaxMs: 20,
        loopUtilization: 0.25,
      },
    ],
    frontends: [exampleFrontend("tcp"), exampleFrontend("udp")],
    endpoints: [exampleEndpoint()],
    limits: { openFiles: 1024, connections: 480, udpSessions: 16384 },
    ...change,
  };
}

export function exampleFrontend(
  protocol: "tcp" | "udp" | "sctp",
  state: FrontendStatus["state"] = { kind: "listening" },
): FrontendStatus {
  const counters = newFrontendCounters();
  counters.connections = 10;
  counters.active = 3;
  counters.bytesFromClient = 1_000;
  counters.bytesToClient = 2_048;
  counters.datagramsDropped = 4;
  counters.ended.done = 5;
  counters.ended["dial-failed"] = 2;
  return {
    key: `${protocol} 10.100.100.1:7070`,
    protocol,
    address: known(parseIpAddress("10.100.100.1")),
    port: known(parsePort(7070)),
    kind: "clusterIP",
    service: "default/service1",
    portName: "",
    state,
    counters,
  };
}

function exampleEndpoint(): EndpointStatus {
  const counters = newEndpointCounters();
  counters.dials = 9;
  counters.connections = 7;
  counters.dialFailures = { ECONNREFUSED: 2 };
  counters.dialTime.counts[DIAL_TIME_BUCKETS_SECONDS.indexOf(0.001)] = 6;
  counters.dialTime.counts[DIAL_TIME_BUCKETS_SECONDS.length] = 1;
  counters.dialTime.sumSeconds = 7;
  return {
    key: "tcp 10.5.75.2:3000",
    protocol: "tcp",
    address: known(parseIpAddress("10.5.75.2")),
    port: known(parsePort(3000)),
    services: ["default/service1"],
    pod: "os1_my1",
    state: "up",
    ejectedForMs: 0,
    counters,
  };
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new Error("a bad example");
  return value;
}
