import { type MetricFamily, seconds, single } from "../../observe/metric-family.ts";
import { SERVICE_METRICS } from "../counters/service-metrics.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import { KUBE_PROXY_METRICS } from "./kube-proxy-metrics.ts";
import type { MeasuredAgent } from "./measured-agent.ts";
import { PROCESS_METRICS } from "./process-metrics.ts";

type Family = MetricFamily<MeasuredAgent>;

const STATES: readonly HostAgentStatus["state"][] = ["starting", "following", "stale", "degraded", "stopping"];

/** kube-proxy's names where the meaning is kube-proxy's, own ones for the rest. */
export const AGENT_METRICS: readonly Family[] = [
  ...KUBE_PROXY_METRICS,
  {
    type: "gauge",
    name: "svcproxy_agent_state",
    help: "1 for the state that the agent is in.",
    samples: ({ status: { state } }) =>
      STATES.map((name) => ({ labels: { state: name }, value: name === state ? 1 : 0 })),
  },
  {
    type: "gauge",
    name: "svcproxy_agent_info",
    help: "1, with the data path that is in use and the version.",
    samples: ({ status: { dataPath, version } }) => [{ labels: { data_path: dataPath, version }, value: 1 }],
  },
  {
    type: "gauge",
    name: "svcproxy_source_last_heard_timestamp_seconds",
    help: "When the source last gave a sign of life; a file that can be read gives one whenever it is asked.",
    samples: ({ status: { source } }) => {
      if (source.readAt === undefined && source.lastHeardAt === undefined) return [];
      const at = source.lastHeardAt ?? source.fault?.since ?? new Date().toISOString();
      return [{ labels: {}, value: seconds(at) }];
    },
  },
  {
    type: "gauge",
    name: "svcproxy_objects_refused",
    help: "Entries of the source, or faults of all of it, for which its last word is not in force.",
    samples: single(({ status: { source } }) => (source.refused?.length ?? 0) + (source.fault?.problems.length ?? 0)),
  },
  {
    type: "gauge",
    name: "svcproxy_stale_endpoints",
    help: "Registered endpoints that are kept although the source lost them.",
    samples: single(({ status: { source } }) => source.staleEndpoints ?? 0),
  },
  {
    type: "gauge",
    name: "svcproxy_plan_info",
    help: "1, with the digest of the plan in force.",
    samples: ({ status: { planDigest } }) =>
      planDigest === undefined ? [] : [{ labels: { digest: planDigest }, value: 1 }],
  },
  {
    type: "counter",
    name: "svcproxy_drift_mended_total",
    help: "How many times what another program did to ours was undone.",
    samples: single(({ status: { kernel } }) => kernel.mended),
  },
  {
    type: "counter",
    name: "svcproxy_changes_held_total",
    help: "Changes held back because they take away most of what is served.",
    samples: single(({ status: { guard } }) => guard.heldCount),
  },
  {
    type: "gauge",
    name: "svcproxy_change_held",
    help: "1 while a change waits to be confirmed.",
    samples: single(({ status: { held } }) => (held === undefined ? 0 : 1)),
  },
  {
    type: "gauge",
    name: "svcproxy_service_ports",
    help: "Service ports of the plan, by how they stand.",
    samples: ({ status: { ports } }) =>
      (["in-force", "refused", "failed"] as const).map((state) => ({
        labels: { state },
        value: ports.filter((port) => port.state === state).length,
      })),
  },
  {
    type: "gauge",
    name: "svcproxy_older_generations",
    help: "Userspace proxies that were taken over, and go on for the connections that they have.",
    samples: single(({ generations }) => generations.length),
  },
  {
    type: "gauge",
    name: "svcproxy_older_generations_connections",
    help: "TCP connections that they have together.",
    samples: single(({ generations }) => generations.reduce((sum, { connections }) => sum + connections, 0)),
  },
  ...PROCESS_METRICS,
  ...SERVICE_METRICS,
];
