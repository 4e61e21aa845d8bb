import { DescriptorBudget } from "../plane/descriptor-budget.ts";
import {
  addEndpointCounters,
  addFrontendCounters,
  type MutableFrontendCounters,
  newEndpointCounters,
  newFrontendCounters,
} from "../policy/counters.ts";
import type { EndpointStatus, FrontendPlace, ProxySnapshot, WorkerStatus } from "../proxy-status.ts";
import { DESCRIPTORS_PER_CONNECTION } from "../tcp/tcp-connection.ts";
import type { GroupReading, RetiredReading } from "./worker-group.ts";

/** Which of the states that workers see counts for all of them: the worst. */
const SEVERITY: readonly EndpointStatus["state"][] = ["up", "draining", "ejected", "down"];

/** Counters of each frontend, all workers together. */
export function mergeFrontendCounters(readings: readonly RetiredReading[]): Map<string, MutableFrontendCounters> {
  const merged = new Map<string, MutableFrontendCounters>();
  for (const { frontends } of readings) {
    for (const { key, counters } of frontends) {
      const sum = merged.get(key) ?? newFrontendCounters();
      merged.set(key, sum);
      addFrontendCounters(sum, counters);
    }
  }
  return merged;
}

/** Frontends that are out of the plan and still have connections, each once. */
export function placesThatLeft(readings: readonly RetiredReading[]): readonly FrontendPlace[] {
  const places = new Map<string, FrontendPlace>();
  for (const { frontends } of readings) {
    for (const { key, left } of frontends) if (left !== undefined) places.set(key, left);
  }
  return [...places.values()];
}

export function mergeEndpoints(readings: readonly RetiredReading[]): EndpointStatus[] {
  const merged = new Map<string, EndpointStatus>();
  for (const endpoint of readings.flatMap(({ endpoints }) => endpoints)) {
    const known = merged.get(endpoint.key);
    merged.set(endpoint.key, known === undefined ? endpoint : mergeEndpoint(known, endpoint));
  }
  return [...merged.values()];
}

function mergeEndpoint(a: EndpointStatus, b: EndpointStatus): EndpointStatus {
  const counters = newEndpointCounters();
  addEndpointCounters(counters, a.counters);
  addEndpointCounters(counters, b.counters);
  const worse = SEVERITY.indexOf(b.state) > SEVERITY.indexOf(a.state) ? b : a;
  return { ...worse, ejectedForMs: Math.max(a.ejectedForMs, b.ejectedForMs), counters };
}

export function workerStatus(reading: GroupReading): WorkerStatus {
  const { pid, index, state, restarts, connections, udpSessions, residentBytes, loop } = reading;
  return {
    ...{ pid, index, state, restarts, connections, udpSessions, residentBytes },
    loopDelayP50Ms: loop.delayP50Ms,
    loopDelayP99Ms: loop.delayP99Ms,
    loopDelayMaxMs: loop.delayMaxMs,
    loopUtilization: loop.utilization,
  };
}

/** @param options 0: no limit of its own */
export function mergeLimits(
  readings: readonly GroupReading[],
  { maxConnections, maxUdpSessions }: { maxConnections: number; maxUdpSessions: number },
): ProxySnapshot["limits"] {
  // Where no worker runs, by this process' own limits, which a worker has too.
  const own = new DescriptorBudget();
  const fitting =
    readings.length === 0
      ? Math.floor(own.freeFor("tcp") / DESCRIPTORS_PER_CONNECTION)
      : readings.reduce((sum, { connectionLimit }) => sum + connectionLimit, 0);
  return {
    openFiles: Math.min(own.limit, ...readings.map(({ openFiles }) => openFiles)),
    connections: maxConnections === 0 ? fitting : Math.min(maxConnections, fitting),
    udpSessions: maxUdpSessions,
  };
}
