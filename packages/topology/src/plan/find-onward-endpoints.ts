import { type Family, familyOf, formatSocketAddress, type IpAddress } from "../address.ts";
import type { Endpoint, Service, ServicePort, Topology } from "../model.ts";
import type { FrontendKind, HostPlan, OnwardEndpoint } from "./host-plan.ts";
import { nodePortAddresses } from "./node-port-addresses.ts";
import { servedFamilies } from "./plan-service.ts";

/**
 * Endpoints that are frontends of the topology themselves: a VIP, or a NodePort of any of its hosts. Those that lead back to the port
 * that has them are marked: left in, one datagram would go round for ever, and one connection until no descriptor is left.
 *
 * Looked at alike on every host, whatever policies and hints let this one use, so that all of them cut the same.
 *
 * @param own what the host for which a plan is made knows of its own addresses
 */
export function findOnwardEndpoints(
  topology: Topology,
  own?: Pick<HostPlan, "host" | "nodePortAddresses">,
): ReadonlyMap<ServicePort, readonly OnwardEndpoint[]> {
  const places = nodePortPlaces(topology, own);
  return onwardAmong(topology, { places, addresses: frontendAddresses(topology.services, places) });
}

/** @param addresses at least those that some frontend has */
export function onwardAmong(
  topology: Topology,
  { places, addresses }: { readonly places: ReadonlySet<IpAddress>; readonly addresses: ReadonlySet<IpAddress> },
): ReadonlyMap<ServicePort, readonly OnwardEndpoint[]> {
  const candidates = topology.services.flatMap((service) => candidatesOf(service, addresses));
  if (candidates.length === 0) return new Map();
  const frontendAt = indexFrontends(topology.services, places);
  const nodes = new Map<string, Node>();
  for (const { service, port, endpoint } of candidates) {
    const to = frontendAt(port, endpoint);
    if (to === undefined) continue;
    nodeOf(nodes, { service, port, family: familyOf(endpoint.address) }).edges.push({ endpoint, to });
  }
  const components = strongComponents(nodes);
  return new Map(
    [...Map.groupBy(nodes.values(), ({ port }) => port)].map(([port, ofPort]) => [
      port,
      ofPort.flatMap(({ id, edges }) =>
        edges.map(({ endpoint, to }) => ({
          endpoint,
          kind: to.kind,
          service: `${to.service.namespace}/${to.service.name}`,
          isLoop: components.get(id) === components.get(idOf(to)),
        })),
      ),
    ]),
  );
}

/** One port of a service in one family, as far as it leads on. */
interface Node extends PortOfFamily {
  readonly id: string;
  readonly edges: { readonly endpoint: Endpoint; readonly to: Target }[];
}

interface PortOfFamily {
  readonly service: Service;
  readonly port: ServicePort;
  readonly family: Family;
}

interface Target extends PortOfFamily {
  readonly kind: FrontendKind;
}

/** Unique among the ports of a topology. */
function idOf({ service, port, family }: PortOfFamily): string {
  return JSON.stringify([service.namespace, service.name, service.ports.indexOf(port), family]);
}

function nodeOf(nodes: Map<string, Node>, from: PortOfFamily): Node {
  const id = idOf(from);
  const known = nodes.get(id);
  if (known !== undefined) return known;
  const node: Node = { ...from, id, edges: [] };
  nodes.set(id, node);
  return node;
}

/** Addresses of hosts that serve NodePorts. */
export function nodePortPlaces(
  { hosts, node }: Topology,
  own: Pick<HostPlan, "host" | "nodePortAddresses"> | undefined,
): ReadonlySet<IpAddress> {
  const places = new Set<IpAddress>();
  for (const host of hosts) {
    for (const family of [4, 6] as const) {
      const { addresses } =
        host === own?.host ? own.nodePortAddresses[family] : nodePortAddresses({ family, host, node });
      for (const address of addresses) places.add(address);
    }
  }
  return places;
}

/** Where some frontend is. */
export function frontendAddresses(services: readonly Service[], places: ReadonlySet<IpAddress>): Set<IpAddress> {
  const addresses = new Set(places);
  for (const service of services) for (const address of vipsOf(service)) addresses.add(address);
  return addresses;
}

/** All addresses that clients dial a service at, NodePorts aside. */
export function vipsOf({ clusterIPs, externalIPs, loadBalancerIPs }: Service): readonly IpAddress[] {
  return [...clusterIPs, ...externalIPs, ...loadBalancerIPs];
}

interface Candidate {
  readonly service: Service;
  readonly port: ServicePort;
  readonly endpoint: Endpoint;
}

/** Usable endpoints at one of the addresses: of most topologies none, which is found out quickly. */
export function candidatesOf(service: Service, addresses: ReadonlySet<IpAddress>): readonly Candidate[] {
  if (service.clusterIPs.length === 0) return [];
  return service.ports.flatMap((port) =>
    port.endpoints
      .filter((endpoint) => addresses.has(endpoint.address) && isUsable(endpoint))
      .map((endpoint) => ({ service, port, endpoint })),
  );
}

function isUsable({ ready, serving, terminating }: Endpoint): boolean {
  return ready || (serving && terminating);
}

/** Finds the frontend that is at an endpoint's address, port and protocol. */
export function indexFrontends(
  services: readonly Service[],
  places: ReadonlySet<IpAddress>,
): (port: ServicePort, endpoint: Endpoint) => Target | undefined {
  const vips = new Map<string, Target>();
  const nodePorts = new Map<string, Target>();
  for (const service of services) {
    const families = servedFamilies(service);
    for (const port of service.ports) {
      const add = (kind: FrontendKind, addresses: readonly IpAddress[]) => {
        for (const address of addresses) {
          const family = familyOf(address);
          if (!families.includes(family) || (kind !== "clusterIP" && port.takenAt?.includes(address) === true))
            continue;
          const key = `${port.protocol} ${formatSocketAddress({ address, port: port.port })}`;
          if (!vips.has(key)) vips.set(key, { kind, service, port, family });
        }
      };
      add("clusterIP", service.clusterIPs);
      add("externalIP", service.externalIPs);
      add("loadBalancerIP", service.loadBalancerIPs);
      for (const family of port.nodePort === undefined ? [] : families) {
        nodePorts.set(`${port.protocol} ${port.nodePort} ${family}`, { kind: "nodePort", service, port, family });
      }
    }
  }
  return ({ protocol }, { address, port }) =>
    vips.get(`${protocol} ${formatSocketAddress({ address, port })}`) ??
    (places.has(address) ? nodePorts.get(`${protocol} ${port} ${familyOf(address)}`) : undefined);
}

/**
 * For each node that leads on, the number of its strongly connected component: two nodes have the same where each leads to the other.
 * A node that leads nowhere has none.
 * @see Tarjan, Depth-first search and linear graph algorithms, 1972; without recursion, because a chain can be longer than the stack
 */
function strongComponents(nodes: ReadonlyMap<string, Node>): ReadonlyMap<string, number> {
  const components = new Map<string, number>();
  const orders = new Map<string, number>();
  const lows = new Map<string, number>();
  const open: string[] = [];
  for (const root of nodes.values()) {
    if (orders.has(root.id)) continue;
    const path: { readonly node: Node; next: number }[] = [];
    const enter = (node: Node) => {
      lows.set(node.id, orders.size);
      orders.set(node.id, orders.size);
      open.push(node.id);
      path.push({ node, next: 0 });
    };
    const lower = (id: string, to: number) => lows.set(id, Math.min(lows.get(id) ?? to, to));
    enter(root);
    for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
      const edge = top.node.edges[top.next++];
      if (edge !== undefined) {
        const next = nodes.get(idOf(edge.to));
        if (next === undefined) continue;
        const order = orders.get(next.id);
        if (order === undefined) enter(next);
        else if (!components.has(next.id)) lower(top.node.id, order);
        continue;
      }
      path.pop();
      const low = lows.get(top.node.id) ?? 0;
      if (low === orders.get(top.node.id)) {
        for (let id = open.pop(); id !== undefined; id = open.pop()) {
          components.set(id, low);
          if (id === top.node.id) break;
        }
      }
      const parent = path.at(-1);
      if (parent !== undefined) lower(parent.node.id, low);
    }
  }
  return components;
}
