import { END_REASONS, type EndpointStatus, type EndReason } from "@svcproxy/userspace";
import { type MetricFamily, seconds, single } from "../observe/metric-family.ts";
import {
  bothDirections,
  dialTimeSamples,
  eachEnding,
  eachEndpoint,
  eachFrontend,
  eachWorker,
  endpointLabels,
  frontendLabels,
  isUdp,
} from "./metric-samples.ts";
import type { UserspaceStatus } from "./userspace-status.ts";

/** Connections that ended before a byte could move. */
const FAILURES: readonly EndReason[] = [
  "dial-failed",
  "client-gone",
  "local-fault",
  "no-endpoint",
  "not-allowed",
  "max-connections",
  "max-per-client",
];

const ENDPOINT_STATES: readonly EndpointStatus["state"][] = ["up", "ejected", "down", "draining"];

/** Every metric that is served, as a view of a snapshot: counting them costs a connection nothing beyond the proxy's own counters. */
export const USERSPACE_METRICS: readonly MetricFamily<UserspaceStatus>[] = [
  {
    type: "gauge",
    name: "svcproxy_info",
    help: "Version and host; always 1.",
    samples: ({ version, host }) => [{ labels: { version, host }, value: 1 }],
  },
  {
    type: "gauge",
    name: "svcproxy_ready",
    help: "1 while every frontend listens and the proxy is not draining.",
    samples: single(({ ready }) => (ready ? 1 : 0)),
  },
  {
    type: "gauge",
    name: "svcproxy_older_generations",
    help: "Instances that were taken over, and go on for the connections that they have.",
    samples: single(({ generations = [] }) => generations.length),
  },
  {
    type: "gauge",
    name: "svcproxy_older_generations_connections",
    help: "TCP connections that they have together.",
    samples: single(({ generations = [] }) => generations.reduce((sum, { connections }) => sum + connections, 0)),
  },
  {
    type: "gauge",
    name: "svcproxy_start_time_seconds",
    help: "When this instance started.",
    samples: single(({ startedAt }) => seconds(startedAt)),
  },
  {
    type: "gauge",
    name: "svcproxy_topology_load_time_seconds",
    help: "When the plan that is served was read.",
    samples: single(({ topology }) => seconds(topology.loadedAt)),
  },
  {
    type: "gauge",
    name: "svcproxy_topology_faulty",
    help: "1 while the topology file has a fault and the old plan is served.",
    samples: single(({ topology }) => (topology.fault === undefined ? 0 : 1)),
  },
  {
    type: "gauge",
    name: "svcproxy_connections_limit",
    help: "TCP connections at a time.",
    samples: single(({ limits }) => limits.connections),
  },
  {
    type: "gauge",
    name: "svcproxy_udp_sessions_limit",
    help: "UDP sessions at a time.",
    samples: single(({ limits }) => limits.udpSessions),
  },
  {
    type: "gauge",
    name: "svcproxy_open_files_limit",
    help: "Descriptors that one worker may have.",
    samples: single(({ limits }) => limits.openFiles),
  },
  {
    type: "counter",
    name: "svcproxy_frontend_connections_total",
    help: "Accepted connections, or UDP sessions.",
    samples: eachFrontend(({ counters }) => counters.connections),
  },
  {
    type: "gauge",
    name: "svcproxy_frontend_connections_active",
    help: "Open connections, or UDP sessions.",
    samples: eachFrontend(({ counters }) => counters.active),
  },
  {
    type: "counter",
    name: "svcproxy_frontend_connections_failed_total",
    help: "Connections that ended before a byte could move, by reason.",
    samples: eachEnding(FAILURES),
  },
  {
    type: "counter",
    name: "svcproxy_frontend_connections_ended_total",
    help: "Connections and UDP sessions that ended, by reason.",
    samples: eachEnding(END_REASONS),
  },
  {
    type: "gauge",
    name: "svcproxy_frontend_ready",
    help: "1 where the frontend listens, or refuses because it has no endpoint; absent where no userspace proxy can serve it.",
    samples: ({ frontends }) =>
      frontends
        .filter(({ state }) => state.kind !== "unsupported" && state.kind !== "draining")
        .map((frontend) => ({
          labels: frontendLabels(frontend),
          value: frontend.state.kind === "failed" ? 0 : 1,
        })),
  },
  {
    type: "counter",
    name: "svcproxy_frontend_bytes_total",
    help: "Bytes that were passed on, by direction.",
    samples: ({ frontends }) =>
      frontends.flatMap((frontend) =>
        bothDirections(frontendLabels(frontend), {
          from_client: frontend.counters.bytesFromClient,
          to_client: frontend.counters.bytesToClient,
        }),
      ),
  },
  {
    type: "counter",
    name: "svcproxy_udp_datagrams_total",
    help: "Datagrams that were passed on, by direction.",
    samples: ({ frontends }) =>
      frontends.filter(isUdp).flatMap((frontend) =>
        bothDirections(frontendLabels(frontend), {
          from_client: frontend.counters.datagramsFromClient,
          to_client: frontend.counters.datagramsToClient,
        }),
      ),
  },
  {
    type: "counter",
    name: "svcproxy_udp_datagrams_dropped_total",
    help: "Datagrams that were not passed on.",
    samples: ({ frontends }) =>
      frontends.filter(isUdp).map((frontend) => ({
        labels: frontendLabels(frontend),
        value: frontend.counters.datagramsDropped,
      })),
  },
  {
    type: "counter",
    name: "svcproxy_endpoint_dials_total",
    help: "Dials for clients.",
    samples: eachEndpoint(({ counters }) => counters.dials),
  },
  {
    type: "counter",
    name: "svcproxy_endpoint_retries_total",
    help: "Dials that another endpoint took over.",
    samples: eachEndpoint(({ counters }) => counters.retries),
  },
  {
    type: "counter",
    name: "svcproxy_endpoint_connections_total",
    help: "Dials that succeeded, or UDP sessions.",
    samples: eachEndpoint(({ counters }) => counters.connections),
  },
  {
    type: "gauge",
    name: "svcproxy_endpoint_connections_active",
    help: "Open connections, or UDP sessions.",
    samples: eachEndpoint(({ counters }) => counters.active),
  },
  {
    type: "counter",
    name: "svcproxy_endpoint_dial_failures_total",
    help: "Dials that failed, by the system's error code.",
    samples: ({ endpoints }) =>
      endpoints.flatMap((endpoint) =>
        Object.entries(endpoint.counters.dialFailures).map(([code, value]) => ({
          labels: { ...endpointLabels(endpoint), code },
          value,
        })),
      ),
  },
  {
    type: "counter",
    name: "svcproxy_endpoint_bytes_total",
    help: "Bytes that were passed on, by direction.",
    samples: ({ endpoints }) =>
      endpoints.flatMap((endpoint) =>
        bothDirections(endpointLabels(endpoint), {
          to_endpoint: endpoint.counters.bytesToEndpoint,
          from_endpoint: endpoint.counters.bytesFromEndpoint,
        }),
      ),
  },
  {
    type: "gauge",
    name: "svcproxy_endpoint_state",
    help: "1 for the state that the endpoint is in.",
    samples: ({ endpoints }) =>
      endpoints.flatMap((endpoint) =>
        ENDPOINT_STATES.map((state) => ({
          labels: { ...endpointLabels(endpoint), state },
          value: endpoint.state === state ? 1 : 0,
        })),
      ),
  },
  {
    type: "histogram",
    name: "svcproxy_endpoint_dial_seconds",
    help: "Time from the dial to the connection.",
    samples: ({ endpoints }) => endpoints.filter(({ protocol }) => protocol === "tcp").flatMap(dialTimeSamples),
  },
  {
    type: "gauge",
    name: "svcproxy_worker_connections",
    help: "Open TCP connections.",
    samples: eachWorker(({ connections }) => connections),
  },
  {
    type: "gauge",
    name: "svcproxy_worker_udp_sessions",
    help: "Open UDP sessions.",
    samples: eachWorker(({ udpSessions }) => udpSessions),
  },
  {
    type: "counter",
    name: "svcproxy_worker_restarts_total",
    help: "How often this worker was replaced.",
    samples: eachWorker(({ restarts }) => restarts),
  },
  {
    type: "gauge",
    name: "svcproxy_worker_resident_bytes",
    help: "Resident memory.",
    samples: eachWorker(({ residentBytes }) => residentBytes),
  },
  {
    type: "gauge",
    name: "svcproxy_worker_event_loop_utilization",
    help: "Share of the time since the last scrape in which the event loop worked.",
    samples: eachWorker(({ loopUtilization }) => loopUtilization),
  },
  {
    type: "summary",
    name: "svcproxy_worker_event_loop_delay_seconds",
    help: "Delay of the event loop since the last scrape; quantile 1 is the longest.",
    samples: ({ workers }) =>
      workers.flatMap(({ index, loopDelayP50Ms, loopDelayP99Ms, loopDelayMaxMs }) =>
        Object.entries({ 0.5: loopDelayP50Ms, 0.99: loopDelayP99Ms, 1: loopDelayMaxMs }).map(([quantile, delayMs]) => ({
          labels: { worker: index, quantile },
          value: delayMs / 1000,
        })),
      ),
  },
];
