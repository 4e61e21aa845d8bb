import type { DataPathName, RuleCount } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import { type MetricFamily, type MetricSample, seconds } from "../../observe/metric-family.ts";
import type { Times } from "../../observe/times.ts";
import type { ObjectChanges } from "../../source.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import type { MeasuredAgent } from "./measured-agent.ts";

type Metric = MetricFamily<MeasuredAgent>;

const REQUESTS = "rest_client_request_duration_seconds";
const PROGRAMMING = "kubeproxy_network_programming_duration_seconds";

/**
 * What has the meaning of a metric of kube-proxy, under its name and with its labels. It syncs one family after the other, and we both in
 * one: what is told of a sync is the same for both.
 *
 * @see pkg/proxy/metrics/metrics.go in Kubernetes 1.37
 */
export const KUBE_PROXY_METRICS: readonly Metric[] = [
  durations(
    "kubeproxy_sync_proxy_rules_duration_seconds",
    "How long it took to carry a plan out, or to learn that this could not be.",
    (agent) => agent.tries,
  ),
  durations(
    "kubeproxy_sync_full_proxy_rules_duration_seconds",
    "The same where everything on the machine was looked at.",
    (agent) => agent.fullTries,
  ),
  durations(
    "kubeproxy_sync_partial_proxy_rules_duration_seconds",
    "The same where only the services that changed were to be written.",
    (agent) => agent.partialTries,
  ),
  {
    type: "gauge",
    name: "kubeproxy_sync_proxy_rules_last_timestamp_seconds",
    help: "When the plan was last carried out, or what another program had changed of it was mended.",
    samples: momentOf(({ appliedAt }) => appliedAt),
  },
  {
    type: "gauge",
    name: "kubeproxy_sync_proxy_rules_last_queued_timestamp_seconds",
    help: "When a change that was to be carried out last came.",
    samples: momentOf(({ source }) => source.readAt),
  },
  ...changesOf("service", "Service", ({ services }) => services),
  ...changesOf("endpoint", "EndpointSlice", ({ endpoints }) => endpoints),
  {
    ...{ type: "histogram", name: PROGRAMMING },
    help: "From what caused a change of an EndpointSlice, by its note endpoints.kubernetes.io/last-change-trigger-time, until the change was in force here.",
    // Without objects of a cluster nothing tells when a change began.
    samples: (agent) =>
      agent.objectChanges === undefined
        ? []
        : familiesOf(agent.status).flatMap((family) =>
            histogram(PROGRAMMING, agent.programmingTimes[family], { ip_family: `IPv${family}` }),
          ),
  },
  failures("nftables", {
    name: "kubeproxy_sync_proxy_rules_nftables_sync_failures_total",
    help: "Plans that nft did not take, or not for all services, or only when everything was looked at.",
    count: ({ failureCount }) => failureCount,
  }),
  failures("nftables", {
    name: "kubeproxy_sync_proxy_rules_nftables_cleanup_failures_total",
    help: "How often what changes had left over could not be removed afterwards.",
    count: ({ cleanupFailureCount = 0 }) => cleanupFailureCount,
  }),
  failures("iptables", {
    name: "kubeproxy_sync_proxy_rules_iptables_restore_failures_total",
    help: "Plans that iptables-restore did not take, or not for all services, or only when everything was looked at.",
    count: ({ failureCount }) => failureCount,
  }),
  failures("iptables", {
    name: "kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total",
    help: "Those of them for which only the services that had changed were to be written.",
    count: ({ partialFailureCount }) => partialFailureCount,
  }),
  {
    type: "gauge",
    name: "kubeproxy_sync_proxy_rules_iptables_total",
    help: "Our rules in iptables.",
    samples: rulesOf(({ total }) => total),
  },
  {
    type: "gauge",
    name: "kubeproxy_sync_proxy_rules_iptables_last",
    help: "Those of them that were written when a plan was last carried out.",
    samples: rulesOf(({ written }) => written),
  },
  durations(
    "kubeproxy_conntrack_reconciler_sync_duration_seconds",
    "How long it took to look for UDP flows whose endpoint or service had gone.",
    (agent) => agent.udpSettlings,
  ),
  {
    type: "counter",
    name: "kubeproxy_conntrack_reconciler_deleted_entries_total",
    help: "UDP flows that the kernel was made to forget because their endpoint or service had gone.",
    samples: ({ status, deletedUdpFlows }) =>
      familiesOf(status).map((family) => ({ labels: { ip_family: `IPv${family}` }, value: deletedUdpFlows[family] })),
  },
  countedByCode("kubeproxy_proxy_healthz_total", "/healthz", ({ healthz }) => healthz),
  countedByCode("kubeproxy_proxy_livez_total", "/livez", ({ livez }) => livez),
  {
    type: "counter",
    name: "rest_client_requests_total",
    help: "Answers of the API server, by HTTP code; <error>: there was none.",
    samples: ({ requests }) =>
      requests === undefined
        ? []
        : [...requests.codes].map(([code, value]) => ({ labels: { code, host: requests.host, method: "GET" }, value })),
  },
  {
    ...{ type: "histogram", name: REQUESTS },
    help: "From a request to the API server until all of the answer was there, watches not counted.",
    samples: ({ requests }) =>
      requests === undefined ? [] : histogram(REQUESTS, requests.times, { host: requests.host, verb: "GET" }),
  },
];

/** Those of the service ports. */
function familiesOf({ ports }: HostAgentStatus): readonly Family[] {
  const families = new Set(ports.map(({ family }) => family));
  return families.size === 0 ? [4] : [...families].sort();
}

function forEachFamily(read: (agent: MeasuredAgent) => number): Metric["samples"] {
  return (agent) => {
    const value = read(agent);
    return familiesOf(agent.status).map((family) => ({ labels: { ip_family: `IPv${family}` }, value }));
  };
}

/** None before the first: whoever asks how long ago it was would be told of 1970. */
function momentOf(read: (status: HostAgentStatus) => string | undefined): Metric["samples"] {
  return (agent) => {
    const at = read(agent.status);
    return at === undefined ? [] : forEachFamily(() => seconds(at))(agent);
  };
}

function durations(name: string, help: string, times: (agent: MeasuredAgent) => Times): Metric {
  return {
    ...{ type: "histogram", name, help },
    samples: (agent) =>
      familiesOf(agent.status).flatMap((family) => histogram(name, times(agent), { ip_family: `IPv${family}` })),
  };
}

function histogram(
  name: string,
  { buckets: bounds, withinBucket, count, sumSeconds }: Times,
  labels: MetricSample["labels"],
): readonly MetricSample[] {
  const buckets = bounds.map((le, index) => ({
    ...{ name: `${name}_bucket`, labels: { ...labels, le } },
    value: withinBucket[index] ?? 0,
  }));
  return [
    ...buckets,
    { name: `${name}_bucket`, labels: { ...labels, le: "+Inf" }, value: count },
    { name: `${name}_sum`, labels, value: sumSeconds },
    { name: `${name}_count`, labels, value: count },
  ];
}

/** Of the data path that is in use: the others write nothing. */
function failures(
  dataPath: DataPathName,
  {
    name,
    help,
    count,
  }: { readonly name: string; readonly help: string; readonly count: (agent: MeasuredAgent) => number },
): Metric {
  const samples = forEachFamily(count);
  return {
    ...{ type: "counter", name, help },
    samples: (agent) => (agent.status.dataPath === dataPath ? samples(agent) : []),
  };
}

function rulesOf(read: (count: RuleCount) => number): Metric["samples"] {
  return ({ ruleCounts }) =>
    ruleCounts.map((count) => ({
      labels: { ip_family: `IPv${count.family}`, table: count.table },
      value: read(count),
    }));
}

/** Of objects that came, went or became others, by the source's own events; none with a source that has no such objects. */
function changesOf(
  name: string,
  kind: string,
  pick: (changes: ObjectChanges) => ObjectChanges["services"],
): readonly Metric[] {
  const samplesOf = (member: "total" | "pending") => (agent: MeasuredAgent) =>
    agent.objectChanges === undefined ? [] : [{ labels: {}, value: pick(agent.objectChanges)[member] }];
  return [
    {
      type: "counter",
      name: `kubeproxy_sync_proxy_rules_${name}_changes_total`,
      help: `Changes of ${kind} objects that the source told.`,
      samples: samplesOf("total"),
    },
    {
      type: "gauge",
      name: `kubeproxy_sync_proxy_rules_${name}_changes_pending`,
      help: "Those of them that no plan was made of yet.",
      samples: samplesOf("pending"),
    },
  ];
}

function countedByCode(
  name: string,
  path: string,
  counts: (agent: MeasuredAgent) => ReadonlyMap<number, number>,
): Metric {
  return {
    type: "counter",
    name,
    help: `Answers on ${path}, by HTTP code.`,
    samples: (agent) => [...counts(agent)].map(([code, value]) => ({ labels: { code }, value })),
  };
}
