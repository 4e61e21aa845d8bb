import type { HostPlan } from "@svcproxy/topology";
import type { MetricFamily } from "../../observe/metric-family.ts";
import { countServicePorts, type ServiceCounters } from "./service-counters.ts";
import type { ServiceSum } from "./service-sums.ts";

export interface MeasuredServices {
  /** Undefined: nothing was read. */
  readonly services: ServiceCounters | undefined;
  /** The one in force. */
  readonly plan: HostPlan | undefined;
}

/** Of each service port, as far as the bound on series lets them. */
export const SERVICE_METRICS: readonly MetricFamily<MeasuredServices>[] = [
  {
    type: "counter",
    name: "svcproxy_service_connections_total",
    help: "New connections by a service port's addresses; with nftables also those that were refused.",
    samples: ({ services }) => samplesOf(services, (sum) => sum.connections),
  },
  {
    type: "gauge",
    name: "svcproxy_service_connections_active",
    help: "Open connections and UDP sessions; with the userspace proxy alone.",
    samples: ({ services }) => samplesOf(services, (sum) => sum.active),
  },
  {
    type: "counter",
    name: "svcproxy_service_bytes_total",
    help: "Bytes of a service port's connections, by direction; with rules, where nftables counts traffic, headers included.",
    samples: ({ services }) => [
      ...samplesOf(services, (sum) => sum.bytesFromClients, { direction: "from_client" }),
      ...samplesOf(services, (sum) => sum.bytesToClients, { direction: "to_client" }),
    ],
  },
  {
    type: "gauge",
    name: "svcproxy_service_series_left_out",
    help: "Service ports of which no series is served: beyond the bound, or not counted.",
    samples: ({ services, plan }) => {
      const leftOut = services?.leftOut ?? (plan === undefined ? undefined : countServicePorts(plan));
      return leftOut === undefined ? [] : [{ labels: {}, value: leftOut }];
    },
  },
  {
    type: "gauge",
    name: "svcproxy_service_counters_read_timestamp_seconds",
    help: "When the services' counters were read; between two scrapes they may be told again.",
    samples: ({ services }) =>
      services === undefined ? [] : [{ labels: {}, value: services.readAt.getTime() / 1000 }],
  },
  {
    type: "gauge",
    name: "kubeproxy_sync_proxy_rules_no_local_endpoints_total",
    help: "Service ports whose policy Local finds no endpoint on this host, though there is one elsewhere.",
    samples: ({ plan }) => (plan === undefined ? [] : noLocalEndpoints(plan)),
  },
];

function samplesOf(
  counters: ServiceCounters | undefined,
  read: (sum: ServiceSum) => number | undefined,
  more: Readonly<Record<string, string>> = {},
) {
  return (counters?.services ?? []).flatMap((sum) => {
    const value = read(sum);
    const { service, portName, protocol } = sum;
    return value === undefined ? [] : [{ labels: { service, port_name: portName, protocol, ...more }, value }];
  });
}

function noLocalEndpoints({ ports }: HostPlan) {
  const families = [...new Set(ports.map(({ family }) => family))];
  const alone = ports.filter(({ hasEndpoints, localEndpoints }) => hasEndpoints && localEndpoints.length === 0);
  return families.flatMap((family) =>
    (["internal", "external"] as const).map((policy) => ({
      labels: { ip_family: `IPv${family}`, traffic_policy: policy },
      value: alone.filter((port) => port.family === family && isLocal(port, policy)).length,
    })),
  );
}

function isLocal({ service, frontends }: HostPlan["ports"][number], policy: "internal" | "external"): boolean {
  if (policy === "internal") return service.internalTrafficPolicy === "Local";
  return service.externalTrafficPolicy === "Local" && frontends.some(({ kind }) => kind !== "clusterIP");
}
