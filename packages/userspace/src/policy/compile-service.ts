import {
  type Endpoint,
  type Frontend,
  familyOf,
  formatSocketAddress,
  type Handling,
  type IpAddress,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { FrontendPlace } from "../proxy-status.ts";
import type { EndpointHandling, FrontendSpec, ListedEndpoint } from "./frontend-spec.ts";

/** What is served of one service. */
export interface ServedService {
  readonly frontends: readonly FrontendSpec[];
  readonly endpoints: readonly Omit<ListedEndpoint, "services">[];
  /** SCTP: nobody can serve it. */
  readonly unsupported: readonly FrontendPlace[];
}

/** Turns the promise of one service into addresses to listen on. @param ports all of the service's */
export function compileService(ports: readonly ServicePortPlan[]): ServedService {
  const frontends: FrontendSpec[] = [];
  const unsupported: FrontendPlace[] = [];
  for (const servicePort of ports) {
    const { protocol } = servicePort.port;
    const clients = new Map<Frontend["clients"], FrontendSpec["clients"]>();
    for (const frontend of servicePort.frontends) {
      for (const address of new Set(frontend.addresses)) {
        const place = placeOf(servicePort, { frontend, address });
        if (protocol === "sctp") unsupported.push(place);
        else frontends.push({ ...place, protocol, ...policyOf(servicePort, { frontend, protocol, clients }) });
      }
    }
  }
  return { frontends, endpoints: listEndpoints(ports), unsupported };
}

function placeOf(
  { service, port }: ServicePortPlan,
  { frontend, address }: { frontend: Frontend; address: IpAddress },
): FrontendPlace {
  return {
    key: `${port.protocol} ${formatSocketAddress({ address, port: frontend.port })}`,
    protocol: port.protocol,
    address,
    port: frontend.port,
    kind: frontend.kind,
    service: `${service.namespace}/${service.name}`,
    portName: port.name,
  };
}

interface PolicyInput {
  readonly frontend: Frontend;
  readonly protocol: "tcp" | "udp";
  /** Those that were made already: plans share them between frontends. */
  readonly clients: Map<Frontend["clients"], FrontendSpec["clients"]>;
}

function policyOf(
  { service, portIndex, family, affinity }: ServicePortPlan,
  { frontend, protocol, clients }: PolicyInput,
): Pick<FrontendSpec, "affinityKey" | "affinityTimeoutMs" | "sourceRanges" | "proxyProtocol" | "clients"> {
  const handled = clients.get(frontend.clients) ?? handleClients(frontend.clients, protocol);
  clients.set(frontend.clients, handled);
  return {
    affinityKey: `${service.namespace}/${service.name}#${portIndex}/${family}`,
    affinityTimeoutMs: (affinity?.timeoutSeconds ?? 0) * 1000,
    sourceRanges: frontend.sourceRanges,
    ...(service.proxyProtocol === undefined || protocol === "udp" ? {} : { proxyProtocol: service.proxyProtocol }),
    clients: handled,
  };
}

function handleClients({ pod, host, outside }: Frontend["clients"], protocol: "tcp" | "udp"): FrontendSpec["clients"] {
  const known = new Map<readonly Endpoint[], EndpointHandling<string>>();
  const handle = (handling: Handling): EndpointHandling<string> => {
    if (handling.kind !== "forward") return { kind: handling.kind };
    const before = known.get(handling.endpoints);
    if (before !== undefined) return before;
    const endpoints = handling.endpoints.map((endpoint) => endpointKey(protocol, endpoint));
    const handled: EndpointHandling<string> = { kind: "forward", endpoints };
    known.set(handling.endpoints, handled);
    return handled;
  };
  return { pod: handle(pod), host: handle(host), outside: handle(outside) };
}

function endpointKey(protocol: "tcp" | "udp", { address, port }: Endpoint): string {
  return `${protocol} ${formatSocketAddress({ address, port })}`;
}

function listEndpoints(ports: readonly ServicePortPlan[]): ServedService["endpoints"] {
  const listed = new Map<string, Omit<ListedEndpoint, "services">>();
  for (const { port, family } of ports) {
    const { protocol } = port;
    if (protocol === "sctp") continue;
    for (const endpoint of port.endpoints) {
      if (familyOf(endpoint.address) !== family) continue;
      const { address, port: number, pod } = endpoint;
      const key = endpointKey(protocol, endpoint);
      listed.set(key, { key, protocol, address, port: number, ...(pod === undefined ? {} : { pod }) });
    }
  }
  return [...listed.values()];
}
