import type { Endpoint, Protocol } from "@svcproxy/topology";
import { lettersAndDigits, nameDistinctly } from "../rule-parts/name-distinctly.ts";

/** What a service port wants of the chains of its endpoints. */
export interface ChainUse {
  readonly protocol: Protocol;
  /** The service port whose clients it remembers, where it does. */
  readonly owner: string | undefined;
}

/** A chain that somebody needs: for one address, port and protocol. */
export interface WantedChain extends ChainUse {
  readonly endpoint: Endpoint;
}

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
    const first = chains[start];
    while (chains[end]?.endpoint.address === first?.endpoint.address) end++;
    // Nearly always, there is one.
    if (first !== undefined && end === start + 1) wishes.push(baseOf(first));
    else for (const wish of wishesOf(chains.slice(start, end))) wishes.push(wish);
  }
  return nameDistinctly(wishes, { identityOf: (index) => identityOf(chains[index]) });
}

/** The names that several chains of one address should have. */
function wishesOf(group: readonly WantedChain[]): readonly string[] {
  const suffixes = suffixesOf(group);
  return group.map((chain, index) => {
    const base = baseOf(chain);
    return base === "" ? "" : base + (suffixes[index] ?? "");
  });
}

function baseOf({ endpoint: { pod, address } }: WantedChain): string {
  return pod === undefined ? address.replaceAll(":", ".") : lettersAndDigits(pod);
}

function identityOf(chain: WantedChain | undefined): string {
  if (chain === undefined) return "";
  const { endpoint, protocol, owner = "" } = chain;
  return `${endpoint.pod ?? ""} ${endpoint.address} ${endpoint.port} ${protocol} ${owner}`;
}

function suffixesOf(group: readonly WantedChain[]): readonly string[] {
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
