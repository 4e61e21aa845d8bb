import type { PageService } from "../model.ts";
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

function rankOf({ states }: PageService, severalHosts: boolean): number {
  if (severalHosts && differs(states)) return 0;
  const { kind } = worstOf(states);
  return kind === "failed" || kind === "refused" ? 1 : kind === "undecided" ? 2 : 3;
}
