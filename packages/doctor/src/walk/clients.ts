import {
  cidrContains,
  type Endpoint,
  type Family,
  type Frontend,
  familyOf,
  type Handling,
  type IpAddress,
  parseIpAddress,
} from "@svcproxy/topology";
import type { ClientPlace } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";

export interface Client {
  readonly place: ClientPlace;
  readonly from: IpAddress;
  readonly wanted: Handling;
}

/** Nobody has these: they are for documents. */
const STRANGERS: Readonly<Record<Family, string>> = { 4: "198.51.100.200", 6: "2001:db8:ffff::200" };

/** One client of each kind that may dial a frontend, and each endpoint on this host that dials itself. */
export function clientsOf(frontend: Frontend, family: Family, { plan, snapshot }: ObservedHost): readonly Client[] {
  const mayDial = (address: IpAddress | undefined): address is IpAddress =>
    address !== undefined &&
    familyOf(address) === family &&
    (frontend.sourceRanges.length === 0 || frontend.sourceRanges.some((range) => cidrContains(range, address)));
  const own = new Set(
    snapshot.hostState.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)),
  );
  const pods = plan.host.pods.flatMap(({ addresses }) => addresses.map(({ address }) => address)).filter(mayDial);
  const fromPod = frontend.clients.pod;
  const endpoints = fromPod.kind === "forward" ? fromPod.endpoints : [];
  // An endpoint as a client meets itself for a part of its connections: that is a client of its own.
  const pod = pods.find((address) => !isEndpoint(endpoints, address)) ?? pods[0];
  const host = plan.host.addresses.filter((address) => own.has(address)).find(mayDial);
  const outside = [...frontend.sourceRanges.map(({ address }) => address), parseIpAddress(STRANGERS[family])].find(
    mayDial,
  );
  const self = pods.filter((address) => address !== pod && isEndpoint(endpoints, address));
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
