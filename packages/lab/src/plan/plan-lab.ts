import { EnvironmentError, type Topology } from "@svcproxy/topology";
import { addUnlistedPods } from "./add-unlisted-pods.ts";
import type { LabPlan, Overlay } from "./lab-plan.ts";
import { namePlaces, type PlacedHost } from "./name-places.ts";
import { podCable, setUpHost, setUpPods } from "./plan-host-network.ts";
import { planOverlay } from "./plan-overlay.ts";
import { planServers } from "./plan-servers.ts";
import { firstPodAddress, planUnderlay } from "./plan-underlay.ts";
import { setUpClient, setUpGateway } from "./plan-underlay-network.ts";

export interface LabPlanOptions {
  readonly overlay: Overlay;
  /** Strict reverse-path filtering (rp_filter=1) on hosts, pods and the client. */
  readonly rpFilter: boolean;
}

/**
 * Everything that has to be done to build the network that a topology describes.
 *
 * @throws EnvironmentError LAB_NO_HOSTS, LAB_ADDRESS_TAKEN, LAB_NO_OVERLAY, LAB_NO_SPARE_ADDRESS
 */
export function planLab(listed: Topology, options: LabPlanOptions): LabPlan {
  const { topology, strangers } = addUnlistedPods(listed);
  if (topology.hosts.length === 0) {
    throw new EnvironmentError("LAB_NO_HOSTS", "Cannot build a lab: the topology lists no host", {
      hint: "List the hosts under `hosts:`",
    });
  }
  const hosts = namePlaces(topology);
  for (const placed of hosts) checkBridgeAddresses(placed);
  const underlays = ([4, 6] as const).flatMap((family) => planUnderlay(topology, family) ?? []);
  const overlay = planOverlay(topology, options.overlay);
  const input = { topology, hosts, strangers, underlays, overlay, rpFilter: options.rpFilter };
  return {
    overlay: options.overlay,
    places: [
      ...hosts.map(({ place }) => place),
      ...hosts.flatMap(({ pods }) => pods.map(({ place }) => place)),
      { name: "client", kind: "client", namespace: "client", addresses: underlays.map(({ client }) => client) },
      { name: "gateway", kind: "gateway", namespace: "gateway", addresses: underlays.map(({ gateway }) => gateway) },
    ],
    wiring: planWiring(hosts, overlay.podMtu),
    setups: [
      ...hosts.map((placed) => setUpHost(input, placed)),
      ...hosts.flatMap((placed) => setUpPods(input, placed)),
      setUpClient(input),
      setUpGateway(input),
    ],
    servers: planServers(input),
  };
}

function planWiring(hosts: readonly PlacedHost[], podMtu: number): readonly string[] {
  const namespaces = hosts.flatMap(({ place, pods }) => [place.namespace, ...pods.map((pod) => pod.place.namespace)]);
  return [
    ...new Set([...namespaces, "client", "gateway"].map((namespace) => `netns add ${namespace}`)),
    ...hosts.map(
      ({ place, index }) => `link add host${index} netns gateway type veth peer name eth0 netns ${place.namespace}`,
    ),
    "link add client netns gateway type veth peer name eth0 netns client",
    ...hosts.flatMap((placed) => placed.pods.flatMap((pod) => podCable(placed, pod, podMtu))),
  ];
}

function checkBridgeAddresses({ host, pods }: PlacedHost): void {
  const reserved = new Map(
    host.podCIDRs.flatMap((cidr) => [
      [cidr.address, "the overlay's"] as const,
      [firstPodAddress(cidr), "the pod bridge's"] as const,
    ]),
  );
  for (const { place, veth } of pods) {
    for (const address of place.addresses) {
      const owner = reserved.get(address);
      if (owner === undefined || veth === undefined) continue;
      throw new EnvironmentError(
        "LAB_ADDRESS_TAKEN",
        `Cannot give pod ${JSON.stringify(place.name)} the address ${address}: it is ${owner} on host ${JSON.stringify(host.name)}`,
        { hint: "The first two addresses of a podCIDR belong to the host; give the pod a later one" },
      );
    }
  }
}
