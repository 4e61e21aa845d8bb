import { type HostState, hostStateOf, type Route } from "@svcproxy/rules";
import { addressWidth, cidrOf, familyOf, type Topology } from "@svcproxy/topology";
import { DEVICES, EDGE, quarterOf } from "./flow-places.ts";

/** The host of a topology as `createFlowWorld` sets it up: as the topology implies, but its serving pods have a device of their own. */
export function flowHostState(topology: Topology): HostState {
  const { pods, pod: bridge, overlay, uplink } = DEVICES;
  const implied = hostStateOf(topology, { host: EDGE, bridge, overlay, uplink });
  const gateways = implied.interfaces.find(({ name }) => name === bridge)?.addresses ?? [];
  const addresses = topology.hosts.flatMap((host) => host.pods.flatMap((pod) => pod.addresses));
  const routes = addresses
    .filter(({ address }) => quarterOf(address, { topology }) === "pods")
    .map(({ address }): Route => {
      const destination = cidrOf(address, addressWidth(familyOf(address)));
      return { destination, type: "unicast", interface: pods, metric: 0, table: "main" };
    });
  return {
    ...implied,
    interfaces: [...implied.interfaces, { name: pods, isLoopback: false, linkKind: "veth", addresses: gateways }],
    routes: [...implied.routes, ...routes],
  };
}
