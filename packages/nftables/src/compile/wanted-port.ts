import { serviceName } from "@svcproxy/host";
import {
  type Cidr,
  type ClientKind,
  cidrContains,
  type Endpoint,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  keptList,
  type Protocol,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { type Element, element } from "../table/nft-table.ts";
import { formatBlock, mergeBlocks } from "./blocks.ts";
import type { TableOptions } from "./table-settings.ts";
import { trafficElements } from "./traffic-counters.ts";
import { isRestricted, RESTRICTED_BIT, TREATMENTS, treatmentOf } from "./treatment.ts";

/** What the table is to hold for one port of a service, but for the numbers of its groups and slots. */
export interface WantedPort {
  /** The same as long as clients dial the same port of the same service. */
  readonly id: string;
  /** `namespace/name`. */
  readonly service: string;
  readonly plan: ServicePortPlan;
  readonly frontends: readonly WantedFrontend[];
  /** The endpoints under policy Cluster; undefined where no frontend leads to them. */
  readonly cluster: WantedGroup | undefined;
  /** The endpoints on this host; undefined where no frontend is under policy Local. */
  readonly local: WantedGroup | undefined;
  /** Elements without a number in them. */
  readonly elements: readonly Element[];
}

export interface WantedGroup {
  readonly protocol: Protocol;
  /** Set where clients stay with their endpoint. */
  readonly timeoutSeconds?: number;
  /** As nft prints them, each once; none: nobody serves. */
  readonly endpoints: readonly string[];
}

export interface WantedFrontend {
  readonly collection: "services" | "nodeports";
  readonly key: string;
  /** Its treatment, and whether it is restricted. */
  readonly kind: number;
  readonly group: "cluster" | "local";
}

/** In the plan's order. @param options.ports those of the plan to look at; default: all */
export function wantedPorts(
  plan: HostPlan,
  { family, countsTraffic = false, ports = plan.ports }: TableOptions & { readonly ports?: HostPlan["ports"] },
): readonly WantedPort[] {
  const ofFamily = ports.filter((port) => port.family === family).map((port) => wantedPort(plan, port));
  if (!countsTraffic) return ofFamily;
  return ofFamily.map((port) => ({ ...port, elements: [...port.elements, ...trafficElements(port.frontends)] }));
}

function wantedPort(plan: HostPlan, port: ServicePortPlan): WantedPort {
  const { protocol } = port.port;
  const service = serviceName(port);
  const frontends: WantedFrontend[] = [];
  const elements: Element[] = [];
  for (const frontend of port.frontends) {
    const treatment = treatmentOf(frontend, port.service);
    const restricted = isRestricted(frontend);
    const rest = {
      kind: TREATMENTS[treatment] | (restricted ? RESTRICTED_BIT : 0),
      group: treatment === "internal-local" ? "local" : "cluster",
    } as const;
    if (frontend.kind === "nodePort") {
      frontends.push({ collection: "nodeports", key: `${protocol} . ${frontend.port}`, ...rest });
      continue;
    }
    for (const address of frontend.addresses) {
      const key = `${address} . ${protocol} . ${frontend.port}`;
      frontends.push({ collection: "services", key, ...rest });
      if (restricted) elements.push(...allowedClients(plan, { key, frontend, address }));
      if (frontend.kind === "clusterIP" && !isHostAddress(plan, address))
        elements.push(element("cluster-ips", address));
    }
  }
  for (const address of hairpins(plan, port)) elements.push(element("hairpins", `${address} . ${address}`));
  const leadsToLocal = frontends.some(({ kind, group }) => group === "local" || isExternalLocal(kind));
  return {
    id: `${service} ${port.port.name} ${protocol} ${port.port.port}`,
    service,
    plan: port,
    frontends: keptList(frontends),
    cluster: frontends.some(({ group }) => group === "cluster") ? group(port, port.clusterEndpoints) : undefined,
    local: leadsToLocal ? group(port, port.localEndpoints) : undefined,
    elements: keptList(elements),
  };
}

/** Whether a kind is that of a frontend which leads to both groups. */
export function isExternalLocal(kind: number): boolean {
  return (kind & ~RESTRICTED_BIT) === TREATMENTS["external-local"];
}

function group({ port: { protocol }, affinity }: ServicePortPlan, endpoints: readonly Endpoint[]): WantedGroup {
  return {
    protocol,
    ...(affinity === undefined ? {} : { timeoutSeconds: affinity.timeoutSeconds }),
    endpoints: keptList(distinct(endpoints).map(({ address, port }) => `${address} . ${port}`)),
  };
}

/** For so many, comparing each with each takes less than a set of their texts. */
const FEW_ENDPOINTS = 8;

/** Each address and port once. */
function distinct(endpoints: readonly Endpoint[]): readonly Endpoint[] {
  if (endpoints.length > FEW_ENDPOINTS) {
    return [...new Map(endpoints.map((endpoint) => [`${endpoint.address} ${endpoint.port}`, endpoint])).values()];
  }
  return endpoints.filter(
    ({ address, port }, index) =>
      endpoints.findIndex((other) => other.port === port && other.address === address) === index,
  );
}

/** By the list of hosts, all of their addresses. */
const hostAddresses = new WeakMap<HostPlan["hosts"], ReadonlySet<IpAddress>>();

function isHostAddress({ hosts }: HostPlan, address: IpAddress): boolean {
  const known = hostAddresses.get(hosts) ?? new Set(hosts.flatMap(({ addresses }) => addresses));
  hostAddresses.set(hosts, known);
  return known.has(address);
}

/** The source ranges; and the load-balancer IP itself where the host is in one of them, because the host may own it. */
function allowedClients(
  { host }: HostPlan,
  { key, frontend, address }: { readonly key: string; readonly frontend: Frontend; readonly address: IpAddress },
): readonly Element[] {
  const own = host.addresses.some((candidate) => frontend.sourceRanges.some((range) => cidrContains(range, candidate)));
  const itself: Cidr = { address, prefixLength: familyOf(address) === 4 ? 32 : 128 };
  const blocks = mergeBlocks(own ? [...frontend.sourceRanges, itself] : frontend.sourceRanges);
  return blocks.map((block) => element("allowed", `${key} . ${formatBlock(block)}`));
}

/**
 * The endpoints that may be a client of this port, be sent to themselves, and whose source is rewritten for no other reason: their
 * answers would never leave their machine.
 */
function hairpins(plan: HostPlan, port: ServicePortPlan): ReadonlySet<IpAddress> {
  const found = new Set<IpAddress>();
  let last: Frontend["clients"] | undefined;
  for (const { clients } of port.frontends) {
    // The same object for all frontends of a kind.
    if (clients === last) continue;
    last = clients;
    for (const kind of CLIENT_KINDS) {
      const handling = clients[kind];
      if (handling.kind !== "forward" || handling.masquerade !== "hairpin") continue;
      for (const { address } of handling.endpoints) if (mayBe(address, kind, plan)) found.add(address);
    }
  }
  return found;
}

const CLIENT_KINDS: readonly ClientKind[] = ["pod", "host", "outside"];

/** Whether a client with this address may count as `kind`. */
function mayBe(address: IpAddress, kind: ClientKind, { podDetector, host }: HostPlan): boolean {
  if (host.addresses.includes(address)) return kind === "host";
  if (kind === "host") return false;
  // Where a client comes in says nothing about its address.
  if (podDetector.kind !== "source") return true;
  return (kind === "pod") === podDetector.cidrs.some((cidr) => cidrContains(cidr, address));
}
