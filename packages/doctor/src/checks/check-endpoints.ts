import type { PodListener, PodNamespace } from "@svcproxy/host";
import { formatSocketAddress, type IpAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";

/** What is known of endpoints besides what was seen. */
export interface EndpointSight {
  /** A look at the host from before the endpoints were dialled in vain; absent: nobody dialled them. */
  readonly before?: ObservedHost;
}

/**
 * Endpoints on a host that nobody serves: their pod is gone, or its program listens elsewhere, or accepts nothing. Of what nobody dialled
 * only that is told which needs no connection to be sure of.
 */
export function checkEndpoints(leaving: readonly Leaving[], options: EndpointSight): readonly Cause[] {
  const local = leaving.filter(({ at, endpoint }) => endpoint.host === at.name);
  const byEndpoint = Map.groupBy(local, ({ endpoint, protocol }) => `${protocol} ${formatSocketAddress(endpoint)}`);
  return [...byEndpoint.values()].flatMap((ways): readonly Cause[] => {
    const [first] = ways;
    const finding = first === undefined ? undefined : endpointFinding(first, options);
    if (first === undefined || finding === undefined) return [];
    return [causeOf(finding, { host: first.at.name, sufferers: ways.map(({ sufferer }): Sufferer => sufferer) })];
  });
}

function endpointFinding(way: Leaving, options: EndpointSight): Finding | undefined {
  const { at, endpoint, protocol } = way;
  const pod = at.podAt(endpoint.address);
  if (pod !== undefined) return listenerFinding({ pod, endpoint, protocol }, options);
  if (at.pods.some(({ addresses }) => addresses.includes(endpoint.address))) return undefined;
  return goneFinding(way, options);
}

function goneFinding(way: Leaving, { before }: EndpointSight): Finding | undefined {
  const { at, endpoint } = way;
  const neighbour = at.snapshot.neighbours.find(({ address }) => address === endpoint.address);
  // The kernel may forget whom it asked in vain.
  const isForgotten = before !== undefined && neighbour === undefined && isAskedForByArp(way);
  const isUnanswered =
    isForgotten || (neighbour?.states.some((state) => state === "FAILED" || state === "INCOMPLETE") ?? false);
  // Pods without a process that may be looked at are not seen either, and a virtual machine has none.
  const seesPods = at.pods.some(({ addresses }) => addresses.some((address) => isPodAddress(at, address)));
  const mayBeThere = before === undefined && neighbour?.mac !== undefined && !isUnanswered;
  const isUnseen = seesPods && isPodAddress(at, endpoint.address) && !mayBeThere;
  if (!isUnanswered && !isUnseen) return undefined;
  return {
    code: "POD_GONE",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `Nobody has the address ${endpoint.address} of endpoint ${endpoint.pod ?? formatSocketAddress(endpoint)} any more`,
    evidence: [
      ...(isUnanswered
        ? [
            `it does not answer ARP: ip neigh has ${neighbour === undefined ? "no entry for it, although it was dialled" : `it as ${neighbour.states.join(", ")}`}`,
          ]
        : []),
      ...(isUnseen ? ["no network namespace of this host has it"] : []),
    ],
    suspect: "the source of the topology is old, or the pod's network was taken down",
    remedy: [],
    hint: "Look whether the pod runs; else take the endpoint out of the topology",
  };
}

function isAskedForByArp({ at, endpoint, interface: out, nextHop }: Leaving): boolean {
  return (
    nextHop === endpoint.address && at.snapshot.links.some(({ name, usesArp, isUp }) => name === out && usesArp && isUp)
  );
}

function isPodAddress({ plan }: ObservedHost, address: IpAddress): boolean {
  return plan.host.pods.some(({ addresses }) => addresses.some((own) => own.address === address));
}

function listenerFinding(
  {
    pod,
    endpoint,
    protocol,
  }: { readonly pod: PodNamespace; readonly endpoint: Leaving["endpoint"]; readonly protocol: string },
  { before }: EndpointSight,
): Finding | undefined {
  if (protocol !== "tcp" && protocol !== "udp") return undefined;
  const own = pod.listeners.filter((listener) => listener.protocol === protocol);
  const isV6 = endpoint.address.includes(":");
  const atPort = own.filter(
    ({ port, address }) => port === endpoint.port && (address === undefined || address === endpoint.address),
  );
  // Several programs may share it.
  const serving = atPort.find(isFull) ?? atPort.find(({ waiting }) => waiting > 0) ?? atPort[0];
  const name = endpoint.pod ?? endpoint.address;
  if (serving !== undefined) {
    return protocol === "tcp" ? queueFinding({ pod, endpoint, serving, name }, before) : undefined;
  }
  const loopback = own.find(
    ({ port, address }) => port === endpoint.port && address !== undefined && isLoopback(address),
  );
  const others = [
    ...new Set(own.filter(({ address }) => address === undefined || !isLoopback(address)).map(({ port }) => port)),
  ];
  const instead =
    loopback?.address !== undefined
      ? `it listens on ${formatSocketAddress({ address: loopback.address, port: endpoint.port })} only`
      : others.length > 0
        ? `it listens on port ${others.slice(0, 5).join(", ")}`
        : "it listens nowhere";
  return {
    code: "NOTHING_LISTENS",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `Nothing listens at ${formatSocketAddress(endpoint)} in ${name}: ${instead}`,
    evidence: [
      `${protocol === "tcp" ? "/proc/net/tcp" : "/proc/net/udp"}${isV6 ? "6" : ""} of the pod (pid ${pod.pid}) has no such socket: ${instead}`,
    ],
    suspect: loopback === undefined ? "the topology's targetPort, or the program" : "the program's own configuration",
    remedy: [],
    hint:
      loopback === undefined
        ? "Give the service the port that the program listens on, or start the program"
        : `Let the program listen on all addresses (0.0.0.0 or ::), not on ${loopback.address}`,
  };
}

/** The kernel lets one more wait than a program has asked for. */
function isFull({ waiting, backlog }: PodListener): boolean {
  return backlog !== undefined && waiting > backlog;
}

/** That some wait, and that some were turned away once, happens where all is well: the queue is full now, or others were turned away meanwhile. */
function queueFinding(
  {
    pod,
    endpoint,
    serving,
    name,
  }: {
    readonly pod: PodNamespace;
    readonly endpoint: Leaving["endpoint"];
    readonly serving: PodListener;
    readonly name: string;
  },
  before: ObservedHost | undefined,
): Finding | undefined {
  const { waiting, backlog } = serving;
  const earlier = before?.podAt(endpoint.address);
  const isDialled = before !== undefined && earlier !== pod;
  const meanwhile = pod.listenOverflows - (isDialled ? (earlier?.listenOverflows ?? 0) : 0);
  if (waiting === 0 || meanwhile <= 0 || (before === undefined && !isFull(serving))) return undefined;
  return {
    code: "LISTEN_QUEUE_FULL",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `The program of ${name} accepts no connections: ${waiting} wait, and others were turned away`,
    evidence: [
      `${waiting} connections wait at port ${endpoint.port}${backlog === undefined ? "" : `, of ${backlog + 1} that may (ss -lnt in the pod)`}`,
      `ListenOverflows of the pod is ${pod.listenOverflows}${isDialled ? `, ${meanwhile} of them while it was dialled` : ""}`,
    ],
    suspect: "the program: it hangs, or has too small a backlog",
    remedy: [],
    hint: "Look at what the program does; restart it",
  };
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}
