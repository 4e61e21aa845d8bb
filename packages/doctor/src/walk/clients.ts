import { exampleClients } from "@svcproxy/rules";
import type { Endpoint, Family, Frontend, Handling, IpAddress } from "@svcproxy/topology";
import type { ClientPlace } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";

export interface Client {
  readonly place: ClientPlace;
  readonly from: IpAddress;
  readonly wanted: Handling;
}

/** One client of each kind that may dial a frontend, and each endpoint on this host that dials itself. */
export function clientsOf(frontend: Frontend, family: Family, { plan, snapshot }: ObservedHost): readonly Client[] {
  const { hostState } = snapshot;
  const [pods, hosts, others] = (["pod", "host", "outside"] as const).map((kind) =>
    exampleClients(kind, { plan, hostState, family, frontend }),
  );
  const fromPod = frontend.clients.pod;
  const endpoints = fromPod.kind === "forward" ? fromPod.endpoints : [];
  // An endpoint as a client meets itself for a part of its connections: that is a client of its own.
  const pod = pods?.find((address) => !isEndpoint(endpoints, address)) ?? pods?.[0];
  const [host, outside] = [hosts?.[0], others?.[0]];
  const self = (pods ?? []).filter((address) => address !== pod && isEndpoint(endpoints, address));
  return [
    ...(pod === undefined ? [] : [{ place: "pod" as const, from: pod, wanted: fromPod }]),
    ...(host === undefined ? [] : [{ place: "host" as const, from: host, wanted: frontend.clients.host }]),
    // Who dials a ClusterIP from outside is promised nothing.
    ...(outside === undefined || frontend.kind === "clusterIP"
      ? []
      : [{ place: "outside" as const, from: outside, wanted: frontend.clients.outside }]),
    ...self.slice(0, 1).map((from) => ({ place: "self" as const, from, wanted: fromPod })),
  ];
}

function isEndpoint(endpoints: readonly Endpoint[], address: IpAddress): boolean {
  return endpoints.some((endpoint) => endpoint.address === address);
}
