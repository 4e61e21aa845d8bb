import {
  type Family,
  familyOf,
  findInPorts,
  formatSocketAddress,
  type HostPlan,
  listNames,
  type OnwardEndpoint,
  type Problem,
  portsLeadingOn,
  type Service,
  type ServicePortPlan,
  servesNodePortsOnLocalhost,
  someInPorts,
} from "@svcproxy/topology";

export interface TranslationLimitationsInput {
  readonly dataPath: "iptables" | "nftables";
  /** Whether clients outside the hosts are told from pods in a family, and masqueraded. */
  readonly marksClientsOutside: (family: Family) => boolean;
}

/** What no rules that translate packets can do of a plan, whatever the machine. */
export function translationLimitations(plan: HostPlan, input: TranslationLimitationsInput): readonly Problem[] {
  const limitation = { severity: "warning", subject: `data path ${input.dataPath}` } as const;
  return [
    ...healthChecks(plan),
    ...proxyProtocol(plan),
    ...chains(plan),
    ...clientsOutside(plan, input),
    ...localhostIpv6(plan),
  ].map((found) => ({ ...limitation, ...found }));
}

type Limitation = Pick<Problem, "code" | "text" | "hint">;

function healthChecks({ healthChecks: checks }: HostPlan): readonly Limitation[] {
  if (checks.length === 0) return [];
  const asked = listNames(checks.map(({ service, port }) => `${port} (${nameOf(service)})`));
  return [
    {
      code: "HEALTH_CHECK_UNANSWERED",
      text: `Rules let health checks in but answer none: unless another program does, load balancers get no answer on port ${asked}`,
    },
  ];
}

const portsWithProxyProtocol = findInPorts(({ service }) =>
  service.proxyProtocol === undefined ? NONE : [nameOf(service)],
);

function proxyProtocol(plan: HostPlan): readonly Limitation[] {
  const headed = portsWithProxyProtocol(plan);
  if (headed.length === 0) return [];
  const text = `Rules send no PROXY protocol header, svcproxy userspace does: ${listNames(headed)}`;
  return [{ code: "PROXY_PROTOCOL_UNSENT", text }];
}

/** A packet's destination is translated once, so what leaves for a frontend of this very host arrives at no endpoint of it. */
function chains(plan: HostPlan): readonly Limitation[] {
  const endsHere = ({ isLoop, kind, endpoint }: OnwardEndpoint) =>
    !isLoop &&
    (kind !== "nodePort" || plan.nodePortAddresses[familyOf(endpoint.address)].addresses.includes(endpoint.address));
  const broken = portsLeadingOn(plan).flatMap(({ service, onward }) =>
    onward.filter(endsHere).map(({ endpoint }) => `${formatSocketAddress(endpoint)} (of ${nameOf(service)})`),
  );
  if (broken.length === 0) return [];
  return [
    {
      code: "CHAIN_NOT_FOLLOWED",
      text: `Rules translate an address once, so a connection does not go on through an endpoint that this host serves as a frontend: ${listNames(broken)}`,
      hint: "Name the endpoints of that other service, or use svcproxy userspace, which passes such connections on",
    },
  ];
}

/** What reaches an endpoint on another host with its own address is answered past this host. */
function clientsOutside(plan: HostPlan, { marksClientsOutside }: TranslationLimitationsInput): readonly Limitation[] {
  const families = ([4, 6] as const).filter(
    (family) => !plan.node.masqueradeAll && !marksClientsOutside(family) && endpointsLeaveHost[family](plan),
  );
  if (families.length === 0) return [];
  const canTell = families.every((family) => plan.host.podCIDRs.some(({ address }) => familyOf(address) === family));
  return [
    {
      code: "CLIENT_OUTSIDE_UNANSWERED",
      text: `A client outside the hosts that dials a ClusterIP keeps its address, so it gets no answer from an endpoint on another host (${families.map((family) => `IPv${family}`).join(", ")})`,
      hint: `Let it dial a NodePort, or say how pods are told, so that all others are masqueraded: ${
        canTell ? "`detectLocalMode: NodeCIDR`" : "`clusterCIDR: …`"
      } below \`node:\` of the topology file, or in --config`,
    },
  ];
}

const endpointsLeaveHost: Readonly<Record<Family, (plan: HostPlan) => boolean>> = {
  4: someInPorts((port, plan) => port.family === 4 && leavesHost(port, plan)),
  6: someInPorts((port, plan) => port.family === 6 && leavesHost(port, plan)),
};

function leavesHost({ service, clusterEndpoints }: ServicePortPlan, { host }: HostPlan): boolean {
  return (
    service.internalTrafficPolicy === "Cluster" && clusterEndpoints.some((endpoint) => endpoint.host !== host.name)
  );
}

function localhostIpv6({ node, ports }: HostPlan): readonly Limitation[] {
  const isAsked =
    servesNodePortsOnLocalhost(node) && ports.some(({ family, port }) => family === 6 && port.nodePort !== undefined);
  if (!isAsked) return [];
  const text =
    "NodePorts on localhost are served on 127.0.0.0/8 and not on ::1, from which the kernel lets no packet out";
  return [{ code: "LOCALHOST_IPV6_UNSERVED", text }];
}

const NONE: readonly string[] = [];

function nameOf({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}
