import type { Host, IpAddress, Pod, Topology } from "@svcproxy/topology";
import type { Place, PlaceKind } from "./lab-plan.ts";

export interface PlacedHost {
  readonly host: Host;
  /** 0-based place in the topology. */
  readonly index: number;
  readonly place: Place;
  /** In the topology's order. */
  readonly pods: readonly PlacedPod[];
}

export interface PlacedPod {
  readonly pod: Pod;
  readonly place: Place;
  /** The host's end of the pod's cable; undefined for a pod in its host's own network. */
  readonly veth: string | undefined;
}

/** `ip netns` makes a file of it; longer names, other characters and doubles get a number instead. */
const FILE_NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,60}$/;

/** Names every host and pod as a place; `client` and `gateway` are names already, and hosts come before pods. */
export function namePlaces(topology: Topology): readonly PlacedHost[] {
  const names = new Set<string>(["client", "gateway"]);
  const namespaces = new Set<string>(names);
  const claim = (kind: PlaceKind, wanted: string) => {
    const name = names.has(wanted) ? `${kind}/${wanted}` : wanted;
    const isFree = FILE_NAME.test(wanted) && !namespaces.has(wanted);
    const namespace = isFree ? wanted : `${kind}~${namespaces.size}`;
    names.add(name);
    namespaces.add(namespace);
    return { name, kind, namespace };
  };
  const hosts = topology.hosts.map((host, index) => ({
    host,
    index,
    place: { ...claim("host", host.name), addresses: host.addresses },
  }));
  return hosts.map((placed) => ({
    ...placed,
    pods: placed.host.pods.map((pod, index): PlacedPod => {
      const addresses = pod.addresses.map(({ address }) => address);
      const shared = sharesNetwork(placed.host, addresses);
      const claimed = claim("pod", pod.name);
      const namespace = shared ? placed.place.namespace : claimed.namespace;
      return {
        pod,
        place: { ...claimed, namespace, host: placed.host.name, addresses },
        veth: shared ? undefined : `veth${index}`,
      };
    }),
  }));
}

/** A pod in its host's own network has the host's address. */
function sharesNetwork(host: Host, addresses: readonly IpAddress[]): boolean {
  return addresses.some((address) => host.addresses.includes(address));
}
