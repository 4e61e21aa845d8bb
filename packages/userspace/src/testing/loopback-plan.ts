import type {
  Cidr,
  ClientKind,
  Endpoint,
  Frontend,
  Handling,
  Host,
  HostPlan,
  IpAddress,
  PodDetector,
  Port,
  Protocol,
  Service,
  ServicePort,
  ServicePortPlan,
} from "@svcproxy/topology";
import { DEFAULT_NODE_SETTINGS, familyOf, parseIpAddress, parsePort } from "@svcproxy/topology";

/** One service port of a plan for tests, every kind of client treated alike unless `clients` says otherwise. */
export interface TestService {
  readonly vip: string;
  readonly port: number;
  readonly protocol?: Protocol;
  readonly name?: string;
  readonly endpoints: readonly TestEndpoint[];
  /** Listed, but not for new connections. */
  readonly unready?: readonly TestEndpoint[];
  readonly affinitySeconds?: number;
  readonly proxyProtocol?: "v1" | "v2";
  readonly sourceRanges?: readonly Cidr[];
  /** A NodePort on every address of the host; `vip` is the one that the topology knows. */
  readonly nodePort?: boolean;
  readonly clients?: Partial<Record<ClientKind, Handling>>;
}

export type TestEndpoint = readonly [address: string, port: number];

const NOWHERE = { addresses: [], everyHostAddress: false };

/** A plan for a host on loopback addresses. */
export function loopbackPlan(services: readonly TestService[], podDetector: PodDetector = { kind: "none" }): HostPlan {
  const host: Host = { name: "test", addresses: [ip("127.0.0.1")], podCIDRs: [], pods: [] };
  return {
    host,
    hosts: [host],
    node: DEFAULT_NODE_SETTINGS,
    podDetector,
    nodePortAddresses: { 4: NOWHERE, 6: NOWHERE },
    ports: services.map(planService),
    healthChecks: [],
  };
}

function planService(test: TestService): ServicePortPlan {
  const usable = test.endpoints.map(endpointOf);
  const ofClients = Object.values(test.clients ?? {}).flatMap((handling) =>
    handling.kind === "forward" ? handling.endpoints : [],
  );
  const listed = [...usable, ...(test.unready ?? []).map(endpointOf), ...ofClients];
  const vip = ip(test.vip);
  const port: ServicePort = {
    name: "",
    protocol: test.protocol ?? "tcp",
    port: portOf(test.port),
    endpoints: listed,
  };
  const service: Service = {
    namespace: "default",
    name: test.name ?? `s${test.vip}-${test.port}`,
    clusterIPs: [vip],
    externalIPs: [],
    loadBalancerIPs: [],
    loadBalancerSourceRanges: [],
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Cluster",
    ...(test.proxyProtocol === undefined ? {} : { proxyProtocol: test.proxyProtocol }),
    ports: [port],
  };
  return {
    service,
    port,
    portIndex: 0,
    family: familyOf(vip),
    clusterEndpoints: usable,
    localEndpoints: [],
    reachableEndpoints: usable,
    onward: [],
    hasEndpoints: usable.length > 0,
    ...(test.affinitySeconds === undefined ? {} : { affinity: { timeoutSeconds: test.affinitySeconds } }),
    frontends: [frontendOf(test, usable)],
  };
}

function frontendOf(test: TestService, endpoints: readonly Endpoint[]): Frontend {
  const everyone: Handling =
    endpoints.length === 0 ? { kind: "refuse" } : { kind: "forward", endpoints, masquerade: "external" };
  return {
    kind: kindOf(test),
    addresses: [ip(test.vip)],
    everyHostAddress: test.nodePort === true,
    port: portOf(test.port),
    sourceRanges: test.sourceRanges ?? [],
    clients: { pod: everyone, host: everyone, outside: everyone, ...test.clients },
  };
}

function kindOf({ nodePort, sourceRanges }: TestService): Frontend["kind"] {
  if (nodePort === true) return "nodePort";
  return sourceRanges === undefined ? "clusterIP" : "loadBalancerIP";
}

export function endpointOf([address, port]: TestEndpoint): Endpoint {
  return {
    address: ip(address),
    port: portOf(port),
    ready: true,
    serving: true,
    terminating: false,
    hints: { zones: [], nodes: [] },
  };
}

export function ip(text: string): IpAddress {
  const address = parseIpAddress(text);
  if (address === undefined) throw new TypeError(`no address: ${text}`);
  return address;
}

export function portOf(value: number): Port {
  const port = parsePort(value);
  if (port === undefined) throw new TypeError(`no port: ${value}`);
  return port;
}

/** A loopback address that no other test is likely to use. */
export function someVip(): string {
  const octet = () => 1 + Math.floor(Math.random() * 250);
  return `127.${2 + Math.floor(Math.random() * 250)}.${octet()}.${octet()}`;
}
