import { type Endpoint, formatSocketAddress, type ServicePortPlan } from "@svcproxy/topology";
import type { DialResult, Prober } from "./prober.ts";

/** At a time; a thousand endpoints take some seconds if none answers. */
const AT_ONCE = 96;
/** More are not dialled in one run. */
export const MOST_DIALS = 2_000;

export interface DialledEndpoint {
  readonly endpoint: Endpoint;
  readonly result: DialResult;
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
    })),
  );
  return dialled.filter(({ result }) => result !== "timeout");
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
