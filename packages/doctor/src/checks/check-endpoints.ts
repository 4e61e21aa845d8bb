import type { PodNamespace } from "@svcproxy/host";
import { formatSocketAddress, type IpAddress } from "@svcproxy/topology";
import type { Cause, Sufferer } from "../cause.ts";
import type { ObservedHost } from "../observation.ts";
import { causeOf, type Finding } from "../walk/finding.ts";
import type { Leaving } from "../walk/stop.ts";

/**
 * Endpoints on a host that nobody serves: their pod is gone, or its program listens elsewhere, or accepts nothing.
 *
 * @param options.trustsNeighbours whether a neighbour that failed was asked just now: the kernel keeps what it once found for a while
 */
export function checkEndpoints(
  leaving: readonly Leaving[],
  options: { readonly trustsNeighbours: boolean },
): readonly Cause[] {
  const local = leaving.filter(({ at, endpoint }) => endpoint.host === at.name);
  const byEndpoint = Map.groupBy(local, ({ endpoint, protocol }) => `${protocol} ${formatSocketAddress(endpoint)}`);
  return [...byEndpoint.values()].flatMap((ways): readonly Cause[] => {
    const [first] = ways;
    const finding = first === undefined ? undefined : endpointFinding(first, options);
    if (first === undefined || finding === undefined) return [];
    return [causeOf(finding, { host: first.at.name, sufferers: ways.map(({ sufferer }): Sufferer => sufferer) })];
  });
}

function endpointFinding(
  { at, endpoint, protocol }: Leaving,
  options: { readonly trustsNeighbours: boolean },
): Finding | undefined {
  const pod = at.snapshot.pods.find(({ addresses }) => addresses.includes(endpoint.address));
  if (pod !== undefined) return listenerFinding({ pod, endpoint, protocol });
  return goneFinding(at, endpoint, options);
}

function goneFinding(
  at: ObservedHost,
  endpoint: Leaving["endpoint"],
  { trustsNeighbours }: { readonly trustsNeighbours: boolean },
): Finding | undefined {
  const neighbour = at.snapshot.neighbours.find(({ address }) => address === endpoint.address);
  const isUnanswered =
    trustsNeighbours && (neighbour?.states.some((state) => state === "FAILED" || state === "INCOMPLETE") ?? false);
  // Pods without a process that may be looked at are not seen either.
  const seesPods = at.snapshot.pods.some(({ addresses }) => addresses.some((address) => isPodAddress(at, address)));
  const isUnseen = seesPods && isPodAddress(at, endpoint.address);
  if (!isUnanswered && !isUnseen) return undefined;
  return {
    code: "POD_GONE",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `Nobody has the address ${endpoint.address} of endpoint ${endpoint.pod ?? formatSocketAddress(endpoint)} any more`,
    evidence: [
      ...(isUnanswered ? [`it does not answer ARP: ip neigh has it as ${neighbour?.states.join(", ")}`] : []),
      ...(isUnseen ? ["no network namespace of this host has it"] : []),
    ],
    suspect: "the source of the topology is old, or the pod's network was taken down",
    remedy: [],
    hint: "Look whether the pod runs; else take the endpoint out of the topology",
  };
}

function isPodAddress({ plan }: ObservedHost, address: IpAddress): boolean {
  return plan.host.pods.some(({ addresses }) => addresses.some((own) => own.address === address));
}

function listenerFinding({
  pod,
  endpoint,
  protocol,
}: {
  readonly pod: PodNamespace;
  readonly endpoint: Leaving["endpoint"];
  readonly protocol: string;
}): Finding | undefined {
  if (protocol !== "tcp" && protocol !== "udp") return undefined;
  const own = pod.listeners.filter((listener) => listener.protocol === protocol);
  const isV6 = endpoint.address.includes(":");
  const serving = own.find(
    ({ port, address }) => port === endpoint.port && (address === undefined || address === endpoint.address),
  );
  const name = endpoint.pod ?? endpoint.address;
  if (serving !== undefined) {
    if (protocol !== "tcp" || serving.waiting === 0 || pod.listenOverflows === 0) return undefined;
    return {
      code: "LISTEN_QUEUE_FULL",
      subject: `endpoint ${formatSocketAddress(endpoint)}`,
      text: `The program of ${name} accepts no connections: ${serving.waiting} wait, and others were turned away`,
      evidence: [
        `${serving.waiting} connections wait at port ${endpoint.port}`,
        `ListenOverflows of the pod is ${pod.listenOverflows}`,
      ],
      suspect: "the program: it hangs, or has too small a backlog",
      remedy: [],
      hint: "Look at what the program does; restart it",
    };
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
      `${protocol === "tcp" ? "/proc/net/tcp" : "/proc/net/udp"}${isV6 ? "6" : ""} of the pod (pid ${pod.pid}) has no such socket`,
    ],
    suspect: loopback === undefined ? "the topology's targetPort, or the program" : "the program's own configuration",
    remedy: [],
    hint:
      loopback === undefined
        ? "Give the service the port that the program listens on, or start the program"
        : `Let the program listen on all addresses (0.0.0.0 or ::), not on ${loopback.address}`,
  };
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}
