import { type Endpoint, formatSocketAddress } from "@svcproxy/topology";
import type { DialResult, Prober } from "./prober.ts";

/** At a time; a thousand endpoints take some seconds if none answers. */
const AT_ONCE = 64;
/** More are not dialled in one run. */
export const MOST_DIALS = 2_000;

export interface DialledEndpoint {
  readonly endpoint: Endpoint;
  readonly result: DialResult;
}

/** Dials each endpoint of TCP once. */
export async function probeEndpoints(
  endpoints: readonly Endpoint[],
  {
    prober,
    signal,
    onProgress,
  }: { readonly prober: Prober; readonly signal: AbortSignal; readonly onProgress: (done: number, of: number) => void },
): Promise<readonly DialledEndpoint[]> {
  const wanted = [...new Map(endpoints.map((endpoint) => [formatSocketAddress(endpoint), endpoint])).values()].slice(
    0,
    MOST_DIALS,
  );
  const left = [...wanted];
  const dialled: DialledEndpoint[] = [];
  const work = async () => {
    for (let endpoint = left.shift(); endpoint !== undefined && !signal.aborted; endpoint = left.shift()) {
      dialled.push({ endpoint, result: await prober.dial(endpoint.address, endpoint.port) });
      onProgress(dialled.length, wanted.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return dialled;
}
