import type { PodListener } from "@svcproxy/host";
import { type Endpoint, formatSocketAddress, type IpAddress } from "@svcproxy/topology";
import type { Finding } from "../walk/finding.ts";

/** What listens in a network namespace: a pod's, or the host's own. */
export interface Listening {
  readonly listeners: readonly PodListener[];
  /** Connections that were turned away there so far. */
  readonly listenOverflows: number;
  /** The same before the endpoint was dialled; absent: it was not, or that is not known. */
  readonly overflowsBefore?: number;
  /** Whether it was dialled in vain. */
  readonly isDialled: boolean;
  /** A process of the pod; undefined: the host's own namespace. */
  readonly pid: number | undefined;
}

/** Why a program does not take connections at an endpoint: it listens elsewhere, or its queue is full. */
export function listenerFinding(
  listening: Listening,
  { endpoint, protocol }: { readonly endpoint: Endpoint; readonly protocol: string },
): Finding | undefined {
  if (protocol !== "tcp" && protocol !== "udp") return undefined;
  const own = listening.listeners.filter((listener) => listener.protocol === protocol);
  const at = formatSocketAddress(endpoint);
  const atPort = own.filter(
    ({ port, address }) => port === endpoint.port && (address === undefined || address === endpoint.address),
  );
  // Several programs may share it.
  const serving = atPort.find(isFull) ?? atPort.find(({ waiting }) => waiting > 0) ?? atPort[0];
  if (serving !== undefined) return protocol === "tcp" ? queueFinding(listening, { endpoint, serving }) : undefined;
  const { pid } = listening;
  const loopback = own.find(
    ({ port, address }) => port === endpoint.port && address !== undefined && isLoopback(address),
  );
  const others = [
    ...new Set(own.filter(({ address }) => address === undefined || !isLoopback(address)).map(({ port }) => port)),
  ];
  // A host has many programs besides.
  const instead =
    loopback?.address !== undefined
      ? `it listens on ${formatSocketAddress({ address: loopback.address, port: endpoint.port })} only`
      : pid === undefined
        ? "no program of this host has the port"
        : others.length > 0
          ? `it listens on port ${others.slice(0, 5).join(", ")}`
          : "it listens nowhere";
  const table = `${protocol === "tcp" ? "/proc/net/tcp" : "/proc/net/udp"}${endpoint.address.includes(":") ? "6" : ""}`;
  return {
    code: "NOTHING_LISTENS",
    subject: `endpoint ${at}`,
    text: `Nothing listens at ${at}${pid === undefined ? "" : ` in ${endpoint.pod ?? endpoint.address}`}: ${instead}`,
    evidence: [
      pid === undefined
        ? `ss -ln${protocol === "tcp" ? "t" : "u"} on this host has no such socket: ${instead}`
        : `${table} of the pod (pid ${pid}) has no such socket: ${instead}`,
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
  { listenOverflows, overflowsBefore, isDialled, pid }: Listening,
  { endpoint, serving }: { readonly endpoint: Endpoint; readonly serving: PodListener },
): Finding | undefined {
  const { waiting, backlog } = serving;
  const turnedAway = listenOverflows - (overflowsBefore ?? 0);
  if (waiting === 0 || turnedAway <= 0 || (!isDialled && !isFull(serving))) return undefined;
  const where = pid === undefined ? "this host" : "the pod";
  return {
    code: "LISTEN_QUEUE_FULL",
    subject: `endpoint ${formatSocketAddress(endpoint)}`,
    text: `The program of ${endpoint.pod ?? formatSocketAddress(endpoint)} accepts no connections: ${waiting} wait, and others were turned away`,
    evidence: [
      `${waiting} connections wait at port ${endpoint.port}${backlog === undefined ? "" : `, of ${backlog + 1} that may (ss -lnt ${pid === undefined ? "on" : "in"} ${where})`}`,
      `ListenOverflows of ${where} is ${listenOverflows}${overflowsBefore === undefined ? "" : `, ${turnedAway} of them while it was dialled`}`,
    ],
    suspect: "the program: it hangs, or has too small a backlog",
    remedy: [],
    hint: "Look at what the program does; restart it",
  };
}

function isLoopback(address: IpAddress): boolean {
  return address.startsWith("127.") || address === "::1";
}
