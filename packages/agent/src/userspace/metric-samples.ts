import {
  DIAL_TIME_BUCKETS_SECONDS,
  type EndpointStatus,
  type EndReason,
  type FrontendStatus,
  type WorkerStatus,
} from "@svcproxy/userspace";
import type { MetricFamily, MetricLabels, MetricSample } from "../observe/metric-family.ts";
import type { UserspaceStatus } from "./userspace-status.ts";

type Samples = MetricFamily<UserspaceStatus>["samples"];

export function eachFrontend(read: (frontend: FrontendStatus) => number): Samples {
  return ({ frontends }) => frontends.map((frontend) => ({ labels: frontendLabels(frontend), value: read(frontend) }));
}

/** One sample for each reason that came up at least once. */
export function eachEnding(reasons: readonly EndReason[]): Samples {
  return ({ frontends }) =>
    frontends.flatMap((frontend) =>
      reasons
        .filter((reason) => frontend.counters.ended[reason] > 0)
        .map((reason) => ({
          labels: { ...frontendLabels(frontend), reason },
          value: frontend.counters.ended[reason],
        })),
    );
}

export function eachEndpoint(read: (endpoint: EndpointStatus) => number): Samples {
  return ({ endpoints }) => endpoints.map((endpoint) => ({ labels: endpointLabels(endpoint), value: read(endpoint) }));
}

export function eachWorker(read: (worker: WorkerStatus) => number): Samples {
  return ({ workers }) => workers.map((worker) => ({ labels: { worker: worker.index }, value: read(worker) }));
}

export function bothDirections(
  labels: MetricLabels,
  values: Readonly<Record<string, number>>,
): readonly MetricSample[] {
  return Object.entries(values).map(([direction, value]) => ({ labels: { ...labels, direction }, value }));
}

export function frontendLabels({ protocol, address, port, service, portName, kind }: FrontendStatus): MetricLabels {
  return { protocol, address, port, service, port_name: portName, kind };
}

export function endpointLabels({ protocol, address, port }: EndpointStatus): MetricLabels {
  return { protocol, address, port };
}

export function isUdp({ protocol }: FrontendStatus): boolean {
  return protocol === "udp";
}

/** Prometheus' buckets are cumulative, ours are not. */
export function dialTimeSamples(endpoint: EndpointStatus): readonly MetricSample[] {
  const name = "svcproxy_endpoint_dial_seconds";
  const labels = endpointLabels(endpoint);
  const { counts, sumSeconds } = endpoint.counters.dialTime;
  let total = 0;
  const buckets = [...DIAL_TIME_BUCKETS_SECONDS, "+Inf"].map((le, index) => {
    total += counts[index] ?? 0;
    return { name: `${name}_bucket`, labels: { ...labels, le }, value: total };
  });
  return [
    ...buckets,
    { name: `${name}_sum`, labels, value: sumSeconds },
    { name: `${name}_count`, labels, value: total },
  ];
}
