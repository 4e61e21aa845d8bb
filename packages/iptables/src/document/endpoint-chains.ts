import type { Match, Rule, Target } from "@svcproxy/rules";
import type { Endpoint, Family, HostPlan, IpAddress, Protocol, ServicePortPlan } from "@svcproxy/topology";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { hostCidr, moduleMatch, protocolMatch, source } from "../rule-parts/matches.ts";
import { remember } from "../rule-parts/recent.ts";
import { dnat, jump } from "../rule-parts/targets.ts";
import { nameEndpoints } from "./name-endpoints.ts";

/** The chain that leads to one endpoint, KUBE-SEP-os1my1. */
export interface EndpointChain extends WantedChain {
  readonly name: string;
  /** Jump to it. */
  readonly target: Target;
}

export interface EndpointChains {
  /** In the order of the file's pods; endpoints that are no pod's behind them, in order of use. */
  readonly ordered: readonly EndpointChain[];
  /** The chains that lead to some of the port's reachable endpoints, in the same order. */
  of(port: ServicePortPlan, endpoints: readonly Endpoint[]): readonly EndpointChain[];
}

/** A chain that somebody needs: for one address, port and protocol. */
export interface WantedChain {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  /** The service port whose clients it remembers, where it does. */
  readonly owner: string | undefined;
}

export interface EndpointChainsInput {
  readonly family: Family;
  readonly serviceName: (port: ServicePortPlan) => string;
}

/** The chains of one address. */
interface AddressChains {
  readonly wanted: WantedChain[];
  /** In the order of `wanted`; empty until they have their place among all. */
  chains: readonly EndpointChain[];
}

/**
 * One chain for each address, port and protocol that serves, shared by the services that it serves. Session affinity is
 * a service port's own, so there each has a chain of its own.
 */
export function endpointChains(plan: HostPlan, { family, serviceName }: EndpointChainsInput): EndpointChains {
  const ownerOf = (port: ServicePortPlan) => (port.affinity === undefined ? undefined : serviceName(port));
  // By address first: the string exists already, and few chains share one.
  const byAddress = new Map<IpAddress, AddressChains>();
  const ofPort = new Map<ServicePortPlan, readonly AddressChains[]>();
  for (const port of plan.ports) {
    if (port.family !== family) continue;
    const { protocol } = port.port;
    const owner = ownerOf(port);
    const groups = port.reachableEndpoints.map((endpoint) => {
      const chain = { endpoint, protocol, owner };
      let group = byAddress.get(endpoint.address);
      if (group === undefined) {
        group = { wanted: [chain], chains: [] };
        byAddress.set(endpoint.address, group);
      } else if (indexOf(group.wanted, chain) < 0) group.wanted.push(chain);
      return group;
    });
    ofPort.set(port, groups);
  }
  const groups = inPodOrder(plan, byAddress);
  const names = nameEndpoints(groups.map(({ wanted }) => wanted));
  let next = 0;
  for (const group of groups) {
    group.chains = group.wanted.map(({ endpoint, protocol, owner }) => {
      const name = `KUBE-SEP-${names[next++] ?? ""}`;
      return { endpoint, protocol, owner, name, target: jump(name) };
    });
  }
  return {
    ordered: groups.flatMap(({ chains }) => chains),
    of(port, endpoints) {
      const { protocol } = port.port;
      const owner = ownerOf(port);
      const inOrder = endpoints === port.reachableEndpoints ? ofPort.get(port) : undefined;
      return endpoints.map((endpoint, index) => {
        const group = inOrder?.[index] ?? byAddress.get(endpoint.address);
        const chain = group?.chains[indexOf(group.wanted, { endpoint, protocol, owner })];
        if (chain === undefined) throw new TypeError(`no chain leads to ${endpoint.address}`);
        return chain;
      });
    },
  };
}

function indexOf(chains: readonly WantedChain[], { endpoint, protocol, owner }: WantedChain): number {
  return chains.findIndex(
    (chain) => chain.endpoint.port === endpoint.port && chain.protocol === protocol && chain.owner === owner,
  );
}

function inPodOrder({ hosts }: HostPlan, byAddress: ReadonlyMap<IpAddress, AddressChains>): readonly AddressChains[] {
  const ordered = new Set<AddressChains>();
  for (const { pods } of hosts) {
    for (const { addresses } of pods) {
      for (const { address } of addresses) {
        const group = byAddress.get(address);
        if (group !== undefined) ordered.add(group);
      }
    }
  }
  for (const group of byAddress.values()) ordered.add(group);
  return [...ordered];
}

const TO_MARK_MASQ = jump(MARK_MASQ);

/** Marks a client that is the endpoint itself: its own address would never come back through this host. */
export function hairpinRule({ endpoint }: EndpointChain): Rule {
  return { matches: [source(hostCidr(endpoint.address))], target: TO_MARK_MASQ };
}

export function dnatRule({ name, endpoint, protocol, owner }: EndpointChain): Rule {
  return {
    matches: owner === undefined ? ANY_OF[protocol] : [...ANY_OF[protocol], remember(name)],
    target: dnat(endpoint),
  };
}

/** `-p tcp -m tcp` */
const ANY_OF: Readonly<Record<Protocol, readonly Match[]>> = {
  tcp: [protocolMatch("tcp"), moduleMatch("tcp")],
  udp: [protocolMatch("udp"), moduleMatch("udp")],
  sctp: [protocolMatch("sctp"), moduleMatch("sctp")],
};
