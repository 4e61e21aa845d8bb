import type { Match, Rule } from "@svcproxy/rules";
import type { Endpoint, Family, HostPlan, IpAddress, Protocol, ServicePortPlan } from "@svcproxy/topology";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { hostCidr, moduleMatch, protocolMatch, source } from "../rule-parts/matches.ts";
import { lettersAndDigits, nameDistinctly } from "../rule-parts/name-distinctly.ts";
import { remember } from "../rule-parts/recent.ts";
import { dnat, jump } from "../rule-parts/targets.ts";

/** The chain that leads to one endpoint, KUBE-SEP-os1my1. */
export interface EndpointChain {
  readonly name: string;
  /** Marks a client that is the endpoint itself: its own address would never come back through this host. */
  readonly hairpin: Rule;
  readonly dnat: Rule;
}

export interface EndpointChains {
  /** In the order of the file's pods; endpoints that are no pod's behind them, in order of use. */
  readonly ordered: readonly EndpointChain[];
  of(port: ServicePortPlan, endpoint: Endpoint): EndpointChain;
}

/** One chain for each address, port and protocol that serves; with session affinity one for each service port on top, which remembers its own clients. */
export function endpointChains(
  plan: HostPlan,
  { family, serviceName }: { family: Family; serviceName: (port: ServicePortPlan) => string },
): EndpointChains {
  const wanted = new Map<string, WantedChain>();
  for (const port of plan.ports) {
    if (port.family !== family) continue;
    const owner = port.affinity === undefined ? undefined : serviceName(port);
    for (const endpoint of port.reachableEndpoints) {
      const key = chainKey(port, { endpoint, owner });
      if (!wanted.has(key)) wanted.set(key, { endpoint, protocol: port.port.protocol, owner, key });
    }
  }
  const inOrder = inPodOrder(plan, [...wanted.values()]);
  const names = nameEndpoints(inOrder);
  const byKey = new Map<string, EndpointChain>();
  for (const [index, chain] of inOrder.entries()) {
    byKey.set(chain.key, endpointChain(`KUBE-SEP-${names[index] ?? ""}`, chain));
  }
  return {
    ordered: [...byKey.values()],
    of(port, endpoint) {
      const key = chainKey(port, { endpoint, owner: port.affinity === undefined ? undefined : serviceName(port) });
      const chain = byKey.get(key);
      if (chain === undefined) throw new TypeError(`no chain leads to ${key}`);
      return chain;
    },
  };
}

interface WantedChain {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  /** The service port whose clients it remembers. */
  readonly owner: string | undefined;
  readonly key: string;
}

function chainKey(
  port: ServicePortPlan,
  { endpoint, owner }: { endpoint: Endpoint; owner: string | undefined },
): string {
  const key = `${endpoint.address} ${endpoint.port} ${port.port.protocol}`;
  return owner === undefined ? key : `${key} ${owner}`;
}

function inPodOrder({ hosts }: HostPlan, wanted: readonly WantedChain[]): readonly WantedChain[] {
  const byAddress = new Map<IpAddress, WantedChain[]>();
  for (const chain of wanted) {
    const others = byAddress.get(chain.endpoint.address);
    if (others === undefined) byAddress.set(chain.endpoint.address, [chain]);
    else others.push(chain);
  }
  const ordered: WantedChain[] = [];
  for (const { pods } of hosts) {
    for (const { addresses } of pods) {
      for (const { address } of addresses) {
        ordered.push(...(byAddress.get(address) ?? []));
        byAddress.delete(address);
      }
    }
  }
  return [...ordered, ...[...byAddress.values()].flat()];
}

/** The pod's letters and digits; with the port where it has several, the protocol where one port serves two, the service where it remembers clients of several. */
function nameEndpoints(chains: readonly WantedChain[]): readonly string[] {
  const counts = new Map<string, number>();
  for (const chain of chains) {
    for (const key of siblingKeys(chain)) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return nameDistinctly(
    chains.map((chain) => {
      const { pod, address } = chain.endpoint;
      const base = pod === undefined ? address.replaceAll(":", ".") : lettersAndDigits(pod);
      const suffix = base === "" ? "" : suffixAmong(counts, chain);
      return { wish: base + suffix, identity: `${pod ?? ""} ${chain.key}`, rank: 0 };
    }),
  );
}

function siblingKeys({ endpoint, protocol }: WantedChain): readonly [pod: string, port: string, frontDoor: string] {
  const pod = endpoint.pod ?? endpoint.address;
  const port = `${pod} ${endpoint.port}`;
  return [pod, port, `${port} ${protocol}`];
}

function suffixAmong(counts: ReadonlyMap<string, number>, chain: WantedChain): string {
  const [ofPod = 0, ofPort = 0, ofFrontDoor = 0] = siblingKeys(chain).map((key) => counts.get(key));
  if (ofPod === 1) return "";
  const port = ofFrontDoor === ofPod ? "" : `-${chain.endpoint.port}`;
  const protocol = port !== "" && ofFrontDoor < ofPort ? chain.protocol : "";
  const owner = ofFrontDoor > 1 && chain.owner !== undefined ? `-${chain.owner}` : "";
  return port + protocol + owner;
}

function endpointChain(name: string, { endpoint, protocol, owner }: WantedChain): EndpointChain {
  const matches: Match[] = [protocolMatch(protocol), moduleMatch(protocol)];
  if (owner !== undefined) matches.push(remember(name));
  return {
    name,
    hairpin: { matches: [source(hostCidr(endpoint.address))], target: jump(MARK_MASQ) },
    dnat: { matches, target: dnat(endpoint) },
  };
}
