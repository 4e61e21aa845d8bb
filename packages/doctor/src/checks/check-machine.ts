import { serviceName } from "@svcproxy/host";
import { familyOf, formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf } from "../walk/finding.ts";

/** What of a host as a whole keeps services from their clients. */
export function checkMachine(at: ObservedHost): readonly Cause[] {
  return [...lostAddresses(at), ...conntrackFull(at), ...staleFlows(at), ...takenNodePorts(at), ...ipvsLeftOver(at)];
}

/** Addresses by which others know this host, and that no device of it has; where it has none of them at all it is another host. */
function lostAddresses(at: ObservedHost): readonly Cause[] {
  const { addresses } = at.plan.host;
  const families = Map.groupBy(addresses, familyOf);
  if (!addresses.some((address) => at.owns(address))) return [];
  return [...families].flatMap(([family, own]): readonly Cause[] => {
    const [first] = own;
    if (first === undefined || own.some((address) => at.owns(address))) return [];
    const cause = causeOf(
      {
        code: "HOST_ADDRESS_MISSING",
        subject: `address ${first}`,
        text: `${at.name} has no address of IPv${family} by which other hosts know it: ${own.join(", ")}`,
        evidence: [`ip address: no device has ${own.join(" or ")}`],
        suspect: "somebody who took it away, or a network service that was given another one",
        remedy: [],
        hint: `Give it back: ip address add ${first}/… dev …, then restart what makes routes; or write its new address into the topology`,
      },
      { host: at.name, sufferers: at.plan.ports.flatMap((port) => servedElsewhere(port, at.name)) },
    );
    return [cause];
  });
}

/** By how much a service depends on other hosts. */
function servedElsewhere(port: ServicePortPlan, here: string): readonly Sufferer[] {
  const endpoints = port.reachableEndpoints;
  const elsewhere = endpoints.filter(({ host }) => host !== here);
  if (elsewhere.length === 0) return [];
  const share = elsewhere.length / endpoints.length;
  return (["pod", "host"] as const).map((client) => ({ service: serviceName(port), client, share }));
}

/** Connections that are tracked, of those that can be: beyond this, new ones begin to be lost. */
const NEARLY_FULL = 0.97;

function conntrackFull(at: ObservedHost): readonly Cause[] {
  const { count, max, statistics } = at.snapshot.conntrack;
  if (count === undefined || max === undefined || max === 0 || count < max * NEARLY_FULL) return [];
  const lost = ["drop", "early_drop", "insert_failed"].flatMap((name) =>
    (statistics[name] ?? 0) > 0 ? [`${name} is ${statistics[name]}`] : [],
  );
  return [
    causeOf(
      {
        code: "CONNTRACK_FULL",
        subject: "connection tracking",
        text: `The kernel tracks ${count} connections of ${max} that it may: new ones are lost at random`,
        evidence: [`nf_conntrack_count ${count}, nf_conntrack_max ${max}`, ...lost],
        suspect: "many connections at a time, or clients that never close theirs",
        remedy: [`sysctl -w net.netfilter.nf_conntrack_max=${max * 2}`],
      },
      { host: at.name, sufferers: [] },
    ),
  ];
}

/** Flows of UDP that began before their endpoint went, and go on to it. */
function staleFlows(at: ObservedHost): readonly Cause[] {
  const wanted = new Map<string, { readonly service: string; readonly endpoints: ReadonlySet<string> }>();
  for (const port of at.plan.ports) {
    if (port.port.protocol !== "udp") continue;
    const endpoints = new Set(port.reachableEndpoints.map(formatSocketAddress));
    for (const { addresses, port: number } of port.frontends)
      for (const address of addresses)
        wanted.set(formatSocketAddress({ address, port: number }), { service: serviceName(port), endpoints });
  }
  if (wanted.size === 0) return [];
  const stale = at.snapshot.readUdpFlows().flatMap((flow) => {
    const dialled = wanted.get(formatSocketAddress({ address: flow.destination, port: flow.destinationPort }));
    const answers = formatSocketAddress({ address: flow.server, port: flow.serverPort });
    return dialled === undefined || dialled.endpoints.has(answers) ? [] : [{ ...dialled, flow, answers }];
  });
  return [...Map.groupBy(stale, ({ service }) => service)].map(([service, flows]) =>
    causeOf(
      {
        code: "STALE_UDP_FLOWS",
        subject: `service ${service}`,
        text: `${flows.length} UDP flows of ${service} go on to what is not an endpoint of it any more`,
        evidence: flows
          .slice(0, 3)
          .map(
            ({ flow, answers }) => `${flow.client} to ${flow.destination}:${flow.destinationPort} goes to ${answers}`,
          ),
        suspect: "whoever changed the rules and left connection tracking as it was",
        remedy: [
          ...new Set(
            flows.map(
              ({ flow }) =>
                `conntrack -D -p udp --orig-dst ${flow.destination} --orig-port-dst ${flow.destinationPort}`,
            ),
          ),
        ],
      },
      { host: at.name, sufferers: [{ service, client: "pod", share: 1 }] },
    ),
  );
}

/** A program of the host that loses connections to a service of the same port; a service proxy holds some itself. */
function takenNodePorts(at: ObservedHost): readonly Cause[] {
  return at.plan.ports.flatMap((port): readonly Cause[] => {
    const frontend = port.frontends.find(({ kind }) => kind === "nodePort");
    if (frontend === undefined) return [];
    const socket = at.snapshot.sockets.find(
      ({ protocol, port: listened, holders }) =>
        protocol === port.port.protocol &&
        listened === frontend.port &&
        holders.length > 0 &&
        holders.every(({ command }) => !/svcproxy|kube-proxy|node/.test(command)),
    );
    if (socket === undefined) return [];
    const [holder] = socket.holders;
    const sufferer: Sufferer = { service: serviceName(port), client: "outside", share: 1 };
    return [
      causeOf(
        {
          code: "NODE_PORT_TAKEN",
          severity: "warning",
          subject: `${port.port.protocol} port ${frontend.port}`,
          text: `${holder?.command} listens on ${frontend.port}, the NodePort of ${serviceName(port)}: one of them is not reached`,
          evidence: [`pid ${holder?.pid} (${holder?.command}) has the socket`],
          suspect: holder?.command,
          remedy: [],
          hint: "Give the service another NodePort, or the program another port",
        },
        { host: at.name, sufferers: [sufferer] },
      ),
    ];
  });
}

function ipvsLeftOver(at: ObservedHost): readonly Cause[] {
  const device = at.snapshot.hostState.interfaces.find(({ name }) => name === "kube-ipvs0");
  const vips = new Set(at.plan.ports.flatMap(({ frontends }) => frontends.flatMap(({ addresses }) => addresses)));
  const kept = device?.addresses.filter(({ address }) => vips.has(address)) ?? [];
  if (kept.length === 0 && at.snapshot.ipvsServices.length === 0) return [];
  return [
    causeOf(
      {
        code: "IPVS_LEFT_OVER",
        subject: "IPVS",
        text: "What a kube-proxy in IPVS mode made is still here, and takes connections to services",
        evidence: [
          ...(kept.length > 0 ? [`kube-ipvs0 has ${kept.length} addresses of services`] : []),
          ...(at.snapshot.ipvsServices.length > 0 ? [`IPVS serves ${at.snapshot.ipvsServices.length} addresses`] : []),
        ],
        suspect: "a kube-proxy in IPVS mode, before this one",
        remedy: ["ipvsadm --clear", "ip link delete kube-ipvs0"],
      },
      { host: at.name, sufferers: [] },
    ),
  ];
}
