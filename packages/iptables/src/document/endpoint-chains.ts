import type { Match, Rule, Target } from "@svcproxy/rules";
import type { Endpoint, Family, HostPlan, Protocol, ServicePortPlan } from "@svcproxy/topology";
import { MARK_MASQ } from "../rule-parts/chain-names.ts";
import { hostCidr, moduleMatch, protocolMatch, remember, source } from "../rule-parts/matches.ts";
import { dnat, jump, NO_TARGET } from "../rule-parts/targets.ts";
import { type ChainUse, nameEndpoints, type WantedChain } from "./name-endpoints.ts";

/** The chain that leads to one endpoint, KUBE-SEP-os1my1. */
export interface EndpointChain extends WantedChain {
  readonly name: string;
  /** Jump to it. */
  readonly target: Target;
}

export interface EndpointChains {
  /** In the order of the file's pods; then endpoints that belong to no pod, in order of use. */
  readonly ordered: readonly EndpointChain[];
  /** The chains that lead to some of the port's reachable endpoints, in the same order. */
  of(port: ServicePortPlan, endpoints: readonly Endpoint[]): readonly EndpointChain[];
}

export interface EndpointChainsInput {
  readonly family: Family;
  readonly serviceName: (port: ServicePortPlan) => string;
}

/**
 * One chain for each address, port and protocol that serves, shared by the services that it serves. Session affinity is
 * a service port's own, so there each has a chain of its own.
 */
export function endpointChains(plan: HostPlan, { family, serviceName }: EndpointChainsInput): EndpointChains {
  const wanted = new WantedChains();
  const ofPort = new Map<ServicePortPlan, readonly EndpointChain[]>();
  const useOf = (port: ServicePortPlan): ChainUse => ({
    protocol: port.port.protocol,
    owner: port.affinity === undefined ? undefined : serviceName(port),
  });
  for (const port of plan.ports) {
    if (port.family !== family) continue;
    const use = useOf(port);
    ofPort.set(
      port,
      port.reachableEndpoints.map((endpoint) => wanted.add(endpoint, use)),
    );
  }
  const ordered = wanted.inPodOrder(plan);
  nameEndpoints(ordered).forEach((ending, index) => {
    ordered[index]?.call(`KUBE-SEP-${ending}`);
  });
  return {
    ordered,
    of(port, endpoints) {
      const all = ofPort.get(port);
      if (all !== undefined && endpoints === port.reachableEndpoints) return all;
      const use = useOf(port);
      return endpoints.map((endpoint) => wanted.get(endpoint, use));
    },
  };
}

/** A chain that gets its name when all are known. */
class GrowingChain implements EndpointChain {
  readonly endpoint: Endpoint;
  readonly protocol: Protocol;
  readonly owner: string | undefined;
  name = "";
  target: Target = NO_TARGET;
  /** The next one of the same address. */
  sibling: GrowingChain | undefined = undefined;
  isPlaced = false;

  constructor(endpoint: Endpoint, { protocol, owner }: ChainUse) {
    this.endpoint = endpoint;
    this.protocol = protocol;
    this.owner = owner;
  }

  call(name: string): void {
    this.name = name;
    this.target = jump(name);
  }

  isFor({ port }: Endpoint, { protocol, owner }: ChainUse): boolean {
    return this.endpoint.port === port && this.protocol === protocol && this.owner === owner;
  }
}

class WantedChains {
  /** The first of each address, which is a string that exists already; few addresses have another. */
  readonly #byAddress = new Map<Endpoint["address"], GrowingChain>();

  /** The chain for an endpoint: that of an equal one before, or a new one. */
  add(endpoint: Endpoint, use: ChainUse): GrowingChain {
    let chain = this.#byAddress.get(endpoint.address);
    if (chain === undefined) {
      chain = new GrowingChain(endpoint, use);
      this.#byAddress.set(endpoint.address, chain);
      return chain;
    }
    while (!chain.isFor(endpoint, use)) {
      chain.sibling ??= new GrowingChain(endpoint, use);
      chain = chain.sibling;
    }
    return chain;
  }

  get(endpoint: Endpoint, use: ChainUse): EndpointChain {
    let chain = this.#byAddress.get(endpoint.address);
    while (chain !== undefined && !chain.isFor(endpoint, use)) chain = chain.sibling;
    if (chain === undefined) throw new TypeError(`no chain leads to ${endpoint.address}`);
    return chain;
  }

  /** Those of one address stand together. */
  inPodOrder({ hosts }: HostPlan): readonly GrowingChain[] {
    const ordered: GrowingChain[] = [];
    const place = (first: GrowingChain | undefined) => {
      for (let chain = first; chain !== undefined && !chain.isPlaced; chain = chain.sibling) {
        chain.isPlaced = true;
        ordered.push(chain);
      }
    };
    for (const { pods } of hosts) {
      for (const { addresses } of pods) for (const { address } of addresses) place(this.#byAddress.get(address));
    }
    for (const chain of this.#byAddress.values()) place(chain);
    return ordered;
  }
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
