import { lettersAndDigits, nameDistinctly } from "../rule-parts/name-distinctly.ts";
import type { WantedChain } from "./endpoint-chains.ts";

/**
 * What ends the name of each endpoint chain: the pod's letters and digits; behind them the port where the pod has several,
 * the protocol where one port serves two, and the service where several remember their clients.
 *
 * @param chains those of one address side by side
 * @returns one for each chain, in order
 */
export function nameEndpoints(chains: readonly WantedChain[]): readonly string[] {
  const wishes: string[] = [];
  for (let start = 0, end: number; start < chains.length; start = end) {
    end = start + 1;
    while (chains[end]?.endpoint.address === chains[start]?.endpoint.address) end++;
    for (const wish of wishesOf(chains, { start, end })) wishes.push(wish);
  }
  return nameDistinctly(wishes, { identityOf: (index) => identityOf(chains[index]) });
}

/** The names that the chains of one address should have: nearly always, there is one. */
function wishesOf(chains: readonly WantedChain[], { start, end }: { start: number; end: number }): readonly string[] {
  const group = chains.slice(start, end);
  const suffixes = suffixesOf(group);
  return group.map(({ endpoint }, index) => {
    const base = endpoint.pod === undefined ? endpoint.address.replaceAll(":", ".") : lettersAndDigits(endpoint.pod);
    return base === "" ? "" : base + (suffixes[index] ?? "");
  });
}

function identityOf(chain: WantedChain | undefined): string {
  if (chain === undefined) return "";
  const { endpoint, protocol, owner = "" } = chain;
  return `${endpoint.pod ?? ""} ${endpoint.address} ${endpoint.port} ${protocol} ${owner}`;
}

function suffixesOf(group: readonly WantedChain[]): readonly string[] {
  if (group.length === 1) return [""];
  const ofPort = countBy(group, ({ endpoint }) => endpoint.port);
  const ofSocket = countBy(group, ({ endpoint, protocol }) => `${endpoint.port}${protocol}`);
  return group.map(({ endpoint, protocol, owner }) => {
    const sharing = ofSocket.get(`${endpoint.port}${protocol}`) ?? 0;
    const port = sharing === group.length ? "" : `-${endpoint.port}`;
    const joined = port !== "" && sharing < (ofPort.get(endpoint.port) ?? 0) ? protocol : "";
    return port + joined + (sharing > 1 && owner !== undefined ? `-${owner}` : "");
  });
}

function countBy<Item, Key>(items: readonly Item[], keyOf: (item: Item) => Key): ReadonlyMap<Key, number> {
  const counts = new Map<Key, number>();
  for (const item of items) counts.set(keyOf(item), (counts.get(keyOf(item)) ?? 0) + 1);
  return counts;
}
