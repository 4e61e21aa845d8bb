import { type Endpoint, formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { DialResult, Prober } from "./prober.ts";

/** At a time; a thousand endpoints take some seconds if none answers. */
const AT_ONCE = 96;
/** More are not dialled in one run. */
const MOST_DIALS = 2_000;

export interface DialledEndpoint {
  readonly endpoint: Endpoint;
  readonly result: DialResult;
  /** How it was asked, where it was not dialled: by a ping of its address, or a datagram of UDP. */
  readonly by?: "ping" | "datagram";
}

export interface DialProgress {
  readonly done: number;
  readonly of: number;
  /** The one that has not answered for longest. */
  readonly waitingFor: string | undefined;
}

/** So many datagrams are sent in one run. */
const MOST_DATAGRAMS = 200;

/** Sends each endpoint of UDP a datagram; of those that say nothing, which is no answer, none is told. */
export async function probeDatagrams(
  ports: readonly ServicePortPlan[],
  prober: Prober,
): Promise<readonly DialledEndpoint[]> {
  const endpoints = ports
    .filter(({ port }) => port.protocol === "udp")
    .flatMap(({ reachableEndpoints }) => reachableEndpoints);
  const wanted = [...new Map(endpoints.map((endpoint) => [formatSocketAddress(endpoint), endpoint])).values()];
  const dialled = await Promise.all(
    wanted.slice(0, MOST_DATAGRAMS).map(async (endpoint) => ({
      endpoint,
      result: await prober.dialUdp(endpoint.address, endpoint.port),
      by: "datagram" as const,
    })),
  );
  return dialled.filter(({ result }) => result !== "timeout");
}

/** So many hosts, and so many bytes. */
const MOST_PINGED = 16;
const PING_BYTES = 100;

/**
 * Where endpoints of a host are of UDP alone, nothing tells whether its pods are reached at all: one of them is asked by a ping.
 *
 * @returns those that gave no answer, and how many were asked
 */
export async function pingSilentHosts(
  ports: readonly ServicePortPlan[],
  { dialled, prober }: { readonly dialled: readonly DialledEndpoint[]; readonly prober: Prober },
): Promise<{ readonly silent: readonly DialledEndpoint[]; readonly asked: number }> {
  const told = new Set(dialled.map(({ endpoint }) => endpoint.host));
  const wanted = new Map<string, Endpoint>();
  for (const { port, reachableEndpoints } of ports)
    for (const endpoint of reachableEndpoints) {
      const { host } = endpoint;
      if (port.protocol === "udp" && host !== undefined && !told.has(host) && !wanted.has(host))
        wanted.set(host, endpoint);
    }
  const asked = [...wanted.values()].slice(0, MOST_PINGED);
  const answers = await Promise.all(asked.map(({ address }) => prober.ping(address, PING_BYTES)));
  return {
    silent: asked
      .filter((_, index) => answers[index] === false)
      .map((endpoint) => ({ endpoint, result: "timeout", by: "ping" })),
    asked: asked.length,
  };
}

/** Dials each endpoint of TCP once. */
export async function probeEndpoints(
  endpoints: readonly Endpoint[],
  {
    prober,
    signal,
    onProgress,
  }: { readonly prober: Prober; readonly signal: AbortSignal; readonly onProgress: (progress: DialProgress) => void },
): Promise<readonly DialledEndpoint[]> {
  const wanted = [...new Map(endpoints.map((endpoint) => [formatSocketAddress(endpoint), endpoint])).values()].slice(
    0,
    MOST_DIALS,
  );
  const left = [...wanted];
  const dialled: DialledEndpoint[] = [];
  const pending = new Set<string>();
  const tell = () => {
    const [waitingFor] = pending;
    onProgress({ done: dialled.length, of: wanted.length, waitingFor });
  };
  const work = async () => {
    for (let endpoint = left.shift(); endpoint !== undefined && !signal.aborted; endpoint = left.shift()) {
      const name = formatSocketAddress(endpoint);
      pending.add(name);
      dialled.push({ endpoint, result: await prober.dial(endpoint.address, endpoint.port) });
      pending.delete(name);
      tell();
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return dialled;
}
