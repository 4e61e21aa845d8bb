import type { EndpointState } from "./endpoint-table.ts";

/** No endpoint has been tried yet. */
export const NONE_TRIED: readonly EndpointState[] = [];

/**
 * One endpoint at random, each with the same chance, of those that are usable and were not tried; where none is usable,
 * of those that are passed over.
 *
 * @param random gives numbers in [0, 1)
 * @returns undefined where all were tried
 */
export function pickEndpoint(
  endpoints: readonly EndpointState[],
  { tried, nowMs, random }: { tried: readonly EndpointState[]; nowMs: number; random: () => number },
): EndpointState | undefined {
  // Almost always the first draw is usable; only where it is not the candidates are counted.
  const first = endpoints[Math.floor(random() * endpoints.length)];
  if (first === undefined) return undefined;
  if (tried.length === 0 && first.isUsable(nowMs)) return first;
  const untried = endpoints.filter((endpoint) => !tried.includes(endpoint));
  const usable = untried.filter((endpoint) => endpoint.isUsable(nowMs));
  const candidates = usable.length > 0 ? usable : untried;
  return candidates[Math.floor(random() * candidates.length)];
}
