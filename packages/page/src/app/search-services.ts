import type { PageService, PageState } from "../model.ts";
import { differs, worstOf } from "./words.ts";

export interface Search {
  /** Words, all of which have to be found: in a name, an address or a port. */
  readonly search: string;
  /** Empty: all. */
  readonly namespace: string;
  readonly state: string;
}

/** Those that are meant, in their order. */
export function findServices(
  services: readonly PageService[],
  { search, namespace, state }: Search,
): readonly PageService[] {
  const words = search
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  return services.filter((service) => {
    if (namespace !== "" && service.namespace !== namespace) return false;
    if (state !== "" && !service.states.some(({ kind }) => kind === state)) return false;
    if (words.length === 0) return true;
    const text = textOf(service);
    return words.every((word) => text.includes(word));
  });
}

const texts = new WeakMap<PageService, string>();

/** What is searched of a service, each part between blanks. */
function textOf(service: PageService): string {
  const known = texts.get(service);
  if (known !== undefined) return known;
  const parts = [
    service.id,
    ...service.ports.flatMap(({ name, port, nodePort, protocol, addresses }) => [
      name,
      protocol,
      String(port),
      String(nodePort ?? ""),
      ...addresses.map(({ address }) => `${address}:${port}`),
    ]),
    ...service.endpoints.flatMap(({ address, port, pod = "", host = "" }) => [`${address}:${port}`, pod, host]),
  ];
  const text = parts.join(" ").toLowerCase();
  texts.set(service, text);
  return text;
}

/** Those that are not well come first, then, of several hosts, those that differ; else as the source has them. */
export function sortServices(services: readonly PageService[], severalHosts: boolean): readonly PageService[] {
  const ranked = services.map((service) => ({ service, rank: rankOf(service, severalHosts) }));
  return ranked.sort((a, b) => a.rank - b.rank).map(({ service }) => service);
}

/**
 * In which order hosts are shown: first those that most often stand otherwise than most do. Of two nobody can tell which it is.
 *
 * @returns indexes into `PageState.hosts`
 */
export function hostsThatDifferFirst({ hosts, services }: Pick<PageState, "hosts" | "services">): readonly number[] {
  const odd = hosts.map(() => 0);
  if (hosts.length > 2)
    for (const { states } of services) {
      if (!differs(states)) continue;
      const usual = mostCommon(states.map(({ kind }) => kind));
      for (const [index, { kind }] of states.entries()) if (kind !== usual) odd[index] = (odd[index] ?? 0) + 1;
    }
  return [...hosts.keys()].sort((a, b) => (odd[b] ?? 0) - (odd[a] ?? 0));
}

function mostCommon<T>(values: readonly T[]): T | undefined {
  const groups = [...Map.groupBy(values, (value) => value)];
  return groups.sort(([, a], [, b]) => b.length - a.length)[0]?.[0];
}

function rankOf({ states }: PageService, severalHosts: boolean): number {
  if (severalHosts && differs(states)) return 0;
  const { kind } = worstOf(states);
  return kind === "failed" || kind === "refused" ? 1 : kind === "undecided" ? 2 : 3;
}
