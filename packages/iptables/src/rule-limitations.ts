import {
  detectsPods,
  type Family,
  familyOf,
  formatSocketAddress,
  type HostPlan,
  listNames,
  type OnwardEndpoint,
  type Problem,
  type Service,
  type ServicePortPlan,
  servesNodePortsOnLocalhost,
} from "@svcproxy/topology";
import { type Dialect, marksClientsOutside } from "./dialect.ts";

/** What the rules of a dialect cannot do of this plan, whatever the machine. */
export function ruleLimitations(plan: HostPlan, { dialect }: { readonly dialect: Dialect }): readonly Problem[] {
  return [
    ...healthChecks(plan),
    ...proxyProtocol(plan),
    ...chains(plan),
    ...clientsOutside(plan, dialect),
    ...localhostIpv6(plan),
  ];
}

const LIMITATION = { severity: "warning", subject: "data path iptables" } as const;

function healthChecks({ healthChecks: checks }: HostPlan): readonly Problem[] {
  if (checks.length === 0) return [];
  const asked = listNames(checks.map(({ service, port }) => `${port} (${nameOf(service)})`));
  return [
    {
      ...{ ...LIMITATION, code: "HEALTH_CHECK_UNANSWERED" },
      text: `Rules let health checks in but answer none: unless another program does, load balancers get no answer on port ${asked}`,
    },
  ];
}

function proxyProtocol({ ports }: HostPlan): readonly Problem[] {
  const headed = ports
    .filter(({ service }) => service.proxyProtocol !== undefined)
    .map(({ service }) => nameOf(service));
  if (headed.length === 0) return [];
  const text = `Rules send no PROXY protocol header, svcproxy userspace does: ${listNames(headed)}`;
  return [{ ...LIMITATION, code: "PROXY_PROTOCOL_UNSENT", text }];
}

/** A packet's destination is translated once, so what leaves for a frontend of this very host arrives at no endpoint of it. */
function chains(plan: HostPlan): readonly Problem[] {
  const endsHere = ({ isLoop, kind, endpoint }: OnwardEndpoint) =>
    !isLoop &&
    (kind !== "nodePort" || plan.nodePortAddresses[familyOf(endpoint.address)].addresses.includes(endpoint.address));
  const broken = plan.ports.flatMap(({ service, onward }) =>
    onward.filter(endsHere).map(({ endpoint }) => `${formatSocketAddress(endpoint)} (of ${nameOf(service)})`),
  );
  if (broken.length === 0) return [];
  return [
    {
      ...{ ...LIMITATION, code: "CHAIN_NOT_FOLLOWED" },
      text: `Rules translate an address once, so a connection does not go on through an endpoint that this host serves as a frontend: ${listNames(broken)}`,
      hint: "Name the endpoints of that other service, or use svcproxy userspace, which passes such connections on",
    },
  ];
}

/** What reaches an endpoint on another host with its own address is answered past this host. */
function clientsOutside(plan: HostPlan, dialect: Dialect): readonly Problem[] {
  const isTold = (family: Family) =>
    dialect === "document" ? marksClientsOutside(plan, family) : detectsPods(plan.podDetector, family);
  const families = ([4, 6] as const).filter(
    (family) =>
      !plan.node.masqueradeAll &&
      !isTold(family) &&
      plan.ports.some((port) => port.family === family && leavesHost(port, plan)),
  );
  if (families.length === 0) return [];
  const canTell = families.every((family) => plan.host.podCIDRs.some(({ address }) => familyOf(address) === family));
  return [
    {
      ...{ ...LIMITATION, code: "CLIENT_OUTSIDE_UNANSWERED" },
      text: `A client outside the hosts that dials a ClusterIP keeps its address, so it gets no answer from an endpoint on another host (${families.map((family) => `IPv${family}`).join(", ")})`,
      hint: `Let it dial a NodePort, or say how pods are told, so that all others are masqueraded: ${
        canTell ? "`node: { detectLocalMode: NodeCIDR }`" : "`node: { clusterCIDR: … }`"
      }`,
    },
  ];
}

function leavesHost({ service, clusterEndpoints }: ServicePortPlan, { host }: HostPlan): boolean {
  return (
    service.internalTrafficPolicy === "Cluster" && clusterEndpoints.some((endpoint) => endpoint.host !== host.name)
  );
}

function localhostIpv6({ node, ports }: HostPlan): readonly Problem[] {
  const isAsked =
    servesNodePortsOnLocalhost(node) && ports.some(({ family, port }) => family === 6 && port.nodePort !== undefined);
  if (!isAsked) return [];
  const text =
    "NodePorts on localhost are served on 127.0.0.0/8 and not on ::1, from which the kernel lets no packet out";
  return [{ ...LIMITATION, code: "LOCALHOST_IPV6_UNSERVED", text }];
}

function nameOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}
