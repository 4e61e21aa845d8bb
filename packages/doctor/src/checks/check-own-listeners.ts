import { type PodListener, serviceName } from "@svcproxy/host";
import { formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf } from "../walk/finding.ts";
import { listenerFinding } from "./listener-finding.ts";

/** Endpoints at addresses of this host, as programs without a network of their own are: whether one listens there needs no connection. */
export function checkOwnListeners(at: ObservedHost, ports: readonly ServicePortPlan[]): readonly Cause[] {
  if (at.snapshot.unread.some(({ part }) => part === "sockets")) return [];
  const listening = {
    listeners: at.snapshot.sockets.map(listenerOf),
    listenOverflows: at.snapshot.counters["TcpExtListenOverflows"] ?? 0,
    ...{ isDialled: false, pid: undefined },
  };
  const ways = ports.flatMap((port) =>
    port.reachableEndpoints
      .filter(({ host, address }) => (host === undefined || host === at.name) && at.owns(address))
      .map((endpoint) => ({ port, endpoint })),
  );
  const byEndpoint = Map.groupBy(
    ways,
    ({ port, endpoint }) => `${port.port.protocol} ${formatSocketAddress(endpoint)}`,
  );
  return [...byEndpoint.values()].flatMap((own): readonly Cause[] => {
    const [first] = own;
    if (first === undefined) return [];
    const { endpoint, port } = first;
    const finding = listenerFinding(listening, { endpoint, protocol: port.port.protocol });
    const sufferers = own.flatMap((way) => sufferersOf(way.port));
    return finding === undefined ? [] : [causeOf(finding, { host: at.name, sufferers })];
  });
}

/** Whoever dials a port of a service, by the share that each of its endpoints gets. */
export function sufferersOf(port: ServicePortPlan): readonly Sufferer[] {
  const share = 1 / Math.max(1, port.reachableEndpoints.length);
  return (["pod", "host"] as const).map((client) => ({ service: serviceName(port), client, share }));
}

function listenerOf({
  protocol,
  address,
  port,
  waiting,
  backlog,
}: ObservedHost["snapshot"]["sockets"][number]): PodListener {
  const isAny = address === undefined || address === "0.0.0.0" || address === "::";
  return { ...{ protocol, port, waiting }, ...(protocol === "tcp" ? { backlog } : {}), ...(isAny ? {} : { address }) };
}
