import { cidrContains, familyOf, formatSocketAddress, parseIpAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";

/** Addresses of endpoints that others have too, and pods without a way for their packets. */
export function checkAddresses(leaving: readonly Leaving[], here: ObservedHost): readonly Cause[] {
  const found = new Map<
    string,
    { readonly finding: Finding; readonly sufferers: Sufferer[]; readonly endpoints: string[] }
  >();
  const add = (finding: Finding | undefined, sufferer: Sufferer, endpoint: Leaving["endpoint"]) => {
    if (finding === undefined) return;
    const known = found.get(`${finding.code} ${finding.subject}`);
    const at = formatSocketAddress(endpoint);
    if (known === undefined)
      found.set(`${finding.code} ${finding.subject}`, { finding, sufferers: [sufferer], endpoints: [at] });
    else {
      known.sufferers.push(sufferer);
      known.endpoints.push(at);
    }
  };
  for (const way of leaving) {
    if (way.at !== here) continue;
    add(podRoute(way), way.sufferer, way.endpoint);
    add(clientRoute(way), way.sufferer, way.endpoint);
  }
  for (const { service, reachableEndpoints } of here.plan.ports)
    for (const endpoint of reachableEndpoints) {
      const name = `${service.namespace}/${service.name}`;
      add(twice(here, endpoint), { service: name, client: "host", share: 1 }, endpoint);
      const shared = sharedByPods(here, endpoint);
      const ways = leaving.filter((way) => isWayTo(way, { service: name, endpoint }));
      // Where nothing is known to leave for it, it is still the endpoint of this service.
      if (ways.length === 0) add(shared, { service: name, client: "host", share: 1 }, endpoint);
      for (const { sufferer } of ways) add(shared, sufferer, endpoint);
    }
  return Array.from(found.values(), ({ finding, sufferers, endpoints }) =>
    causeOf(finding, { host: here.name, sufferers, endpoints }),
  );
}

function isWayTo(
  { endpoint, sufferer }: Leaving,
  wanted: { readonly service: string; readonly endpoint: Leaving["endpoint"] },
): boolean {
  return sufferer.service === wanted.service && endpoint.address === wanted.endpoint.address;
}

/** An endpoint of a pod whose address this host has itself. */
function twice(at: ObservedHost, { address, host, pod }: Leaving["endpoint"]): Finding | undefined {
  // A program of the host's own serves at an address of the host.
  if (pod === undefined && host === undefined) return undefined;
  if (at.plan.hosts.some(({ addresses }) => addresses.some((own) => own === address))) return undefined;
  const device = at.snapshot.hostState.interfaces.find(({ addresses }) =>
    addresses.some((own) => own.address === address),
  );
  if (device === undefined) return undefined;
  const where = host !== undefined && host !== at.name ? ` on ${host}` : "";
  return {
    code: "ADDRESS_TWICE",
    subject: `address ${address}`,
    text: `${address}, the address of ${pod ?? "an endpoint"}${where}, is in use twice`,
    evidence: [`${device.name} of this host has it`],
    suspect: "an address that was given by hand, or a CNI plug-in that lost its list of addresses",
    remedy: [`ip addr del ${address}/${prefixOf(device, address)} dev ${device.name}`],
  };
}

/** An endpoint whose address two pods have behind ports of one bridge: whoever answers ARP first gets what is for it. */
function sharedByPods(at: ObservedHost, { address, pod }: Leaving["endpoint"]): Finding | undefined {
  const { links, processes, neighbours } = at.snapshot;
  const having = at.pods
    .filter(({ addresses }) => addresses.includes(address))
    .flatMap((one) => {
      // Namespaces that no link of this host leads to may be pods of another host on this machine.
      const port = links.find(({ kind, peerId }) => kind === "veth" && peerId !== undefined && peerId === one.linkId);
      return port?.master === undefined ? [] : [{ pid: one.pid, port: port.name, bridge: port.master }];
    });
  const met = [...Map.groupBy(having, ({ bridge }) => bridge)].find(([, ports]) => ports.length > 1);
  if (met === undefined) return undefined;
  const [bridge, ports] = met;
  const told = ports.map(({ pid, port }) => {
    const command = processes.find((process) => process.pid === pid)?.command;
    return `${port} to that of process ${pid}${command === undefined ? "" : ` (${command})`}`;
  });
  const neighbour = neighbours.find((one) => one.address === address && one.interface === bridge && one.mac);
  return {
    code: "ADDRESS_TWICE",
    subject: `address ${address}`,
    text: `${address}, the address of ${pod ?? "an endpoint"}, is in use twice behind ${bridge}`,
    evidence: [
      `${ports.length} ports of ${bridge} lead to namespaces that have it: ${told.join(", ")}`,
      ...(neighbour === undefined ? [] : [`now ${neighbour.mac} gets what is sent to it (ip neigh)`]),
    ],
    suspect: "an address that was given by hand, or a CNI plug-in that lost its list of addresses",
    remedy: [],
    hint: "Restart the pod that should not have it, so that it gets another; by hand: nsenter -t PID -n ip addr",
  };
}

function prefixOf(
  { addresses }: { readonly addresses: readonly { readonly address: string; readonly prefixLength?: number }[] },
  address: string,
): number {
  return addresses.find((own) => own.address === address)?.prefixLength ?? 32;
}

/** The answer's first step, out of the pod that serves. */
function podRoute({ at, endpoint, source }: Leaving): Finding | undefined {
  if (endpoint.host !== at.name) return undefined;
  return withoutRoute(at, { address: endpoint.address, name: endpoint.pod, to: source, what: `answer ${source}` });
}

/** A client that is a pod: its packets have to leave it. */
function clientRoute({ at, sufferer, source }: Leaving): Finding | undefined {
  if (sufferer.client !== "pod" && sufferer.client !== "self") return undefined;
  const [vip] = at.plan.ports
    .filter(({ service }) => `${service.namespace}/${service.name}` === sufferer.service)
    .flatMap(({ frontends }) => frontends.flatMap(({ addresses }) => addresses));
  if (vip === undefined) return undefined;
  return withoutRoute(at, { address: source, name: undefined, to: vip, what: `reach ${vip}` });
}

function withoutRoute(
  at: ObservedHost,
  {
    address,
    name,
    to,
    what,
  }: { readonly address: string; readonly name: string | undefined; readonly to: string; readonly what: string },
): Finding | undefined {
  const [own, wanted] = [parseIpAddress(address), parseIpAddress(to)];
  const pod = own === undefined ? undefined : at.podAt(own);
  if (pod?.routes === undefined || wanted === undefined) return undefined;
  const ofFamily = pod.routes.filter((route) => familyOf(route.address) === familyOf(wanted));
  // Without any it may have no such addresses at all.
  if (ofFamily.length === 0 && familyOf(wanted) === 6) return undefined;
  if (ofFamily.some((route) => cidrContains(route, wanted)) || pod.addresses.includes(wanted)) return undefined;
  const isV6 = familyOf(wanted) === 6;
  const called =
    name ?? at.plan.host.pods.find(({ addresses }) => addresses.some((one) => one.address === address))?.name;
  return {
    code: "POD_ROUTE_MISSING",
    subject: `pod ${called ?? address}`,
    text: `${called ?? address} has no route by which it could ${what}`,
    evidence: [`/proc/${pod.pid}/net/${isV6 ? "ipv6_route" : "route"} has no route to ${to}, and no default route`],
    suspect: "somebody who changed routes in the pod, or its CNI plug-in",
    remedy: [],
    hint: `Restart the pod; by hand: nsenter -t ${pod.pid} -n ip ${isV6 ? "-6 " : ""}route add default via …`,
  };
}
