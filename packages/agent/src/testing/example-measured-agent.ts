import { exampleTopology, planHost } from "@svcproxy/topology";
import {
  APPLY_TIME_BUCKETS_SECONDS,
  addApply,
  NO_APPLIES,
  PROGRAMMING_TIME_BUCKETS_SECONDS,
} from "../host/metrics/apply-times.ts";
import type { MeasuredAgent } from "../host/metrics/measured-agent.ts";
import type { MeasuredWork } from "../host/metrics/measured-work.ts";
import { addTime, noTimes } from "../observe/times.ts";
import { exampleHostAgentStatus } from "./example-host-agent-status.ts";

const at = new Date("2026-01-01T00:01:00.000Z");
const NO_TRIES = noTimes(APPLY_TIME_BUCKETS_SECONDS);
const NO_PROGRAMMING = noTimes(PROGRAMMING_TIME_BUCKETS_SECONDS);

/** What an agent has done to which everything has happened, each thing another number of times. */
export function exampleMeasuredWork(): MeasuredWork {
  return {
    tries: addTime(addTime(NO_TRIES, 1.5), 0.003),
    fullTries: addTime(NO_TRIES, 1.5),
    partialTries: addTime(NO_TRIES, 0.003),
    udpSettlings: addApply(NO_APPLIES, { tookMs: 7, at }),
    programmingTimes: { 4: addTime(addTime(NO_PROGRAMMING, 0.3), 61), 6: NO_PROGRAMMING },
    deletedUdpFlows: { 4: 3, 6: 8 },
    ...{ failureCount: 4, partialFailureCount: 2, cleanupFailureCount: 1 },
    ruleCounts: [{ family: 4, table: "nat", total: 120, written: 5 }],
    objectChanges: { services: { total: 7, pending: 1 }, endpoints: { total: 9, pending: 2 } },
    requests: {
      host: "10.0.0.9:6443",
      codes: new Map([
        ["200", 5],
        ["<error>", 2],
      ]),
      times: addTime(noTimes([0.1, 1]), 0.2),
    },
    draining: undefined,
    generations: [
      {
        ...{ pid: 41, takenOverAt: "2026-01-01T00:00:30.000Z", connections: 3, udpSessions: 0 },
        ...{ isDraining: false, inUse: [] },
      },
    ],
  };
}

/** The same, with its status and counters of one service. */
export function exampleMeasuredAgent(): MeasuredAgent {
  const sum = {
    ...{ service: "default/web", portName: "http", protocol: "tcp" as const, connections: 1 },
    ...{ bytesFromClients: 1, bytesToClients: 1, active: 1 },
  };
  return {
    ...exampleMeasuredWork(),
    status: exampleHostAgentStatus(),
    healthz: new Map([[200, 1]]),
    livez: new Map([[503, 1]]),
    services: { services: [sum], leftOut: 0, readAt: new Date(0) },
    plan: planHost(exampleTopology().topology, { host: "cloudos1" }),
  };
}
