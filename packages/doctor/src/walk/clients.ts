import { exampleClients } from "@svcproxy/rules";
import {
  addressBits,
  addressFromBits,
  addressWidth,
  cidrContains,
  type Endpoint,
  type Family,
  type Frontend,
  familyOf,
  type Handling,
  type IpAddress,
} from "@svcproxy/topology";
import type { ClientPlace } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";

export interface Client {
  readonly place: ClientPlace;
  readonly from: IpAddress;
  readonly wanted: Handling;
}

/** One client of each kind that may dial a frontend, and each endpoint on this host that dials itself. */
export function clientsOf(frontend: Frontend, family: Family, at: ObservedHost): readonly Client[] {
  const { plan, snapshot } = at;
  const { hostState } = snapshot;
  const [known, hosts, others] = (["pod", "host", "outside"] as const).map((kind) =>
    exampleClients(kind, { plan, hostState, family, frontend }),
  );
  const pods = known?.length === 0 && frontend.sourceRanges.length === 0 ? podsOfBlock(at, family) : known;
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

/** Far from the start of a block, where addresses are given out first. */
const PLACE_IN_BLOCK = 250n;

/** Pods that the topology does not name: those that are seen, or one that there could be. */
function podsOfBlock({ plan, pods, router }: ObservedHost, family: Family): readonly IpAddress[] {
  const block = plan.host.podCIDRs.find(({ address }) => familyOf(address) === family);
  if (block === undefined) return [];
  const seen = pods.flatMap(({ addresses }) => addresses.filter((address) => cidrContains(block, address)));
  if (seen.length > 0) return seen;
  const size = 1n << BigInt(addressWidth(family) - block.prefixLength);
  const place = PLACE_IN_BLOCK < size ? PLACE_IN_BLOCK : size / 2n;
  const possible = addressFromBits(family, addressBits(block.address) + place);
  const answer = router.lookup({ destination: possible, mark: 0, inInterface: "lo" });
  // Without a device of pods there are none on this host.
  return answer.kind === "found" && answer.route.destination.prefixLength > 0 ? [possible] : [];
}

function isEndpoint(endpoints: readonly Endpoint[], address: IpAddress): boolean {
  return endpoints.some((endpoint) => endpoint.address === address);
}
