import type { ComparedPackets, HostState } from "@svcproxy/rules";
import {
  type Cidr,
  cidrContains,
  type Family,
  type Frontend,
  familyOf,
  type HostPlan,
  type IpAddress,
  type Protocol,
  parseCidr,
  type ServicePortPlan,
} from "@svcproxy/topology";
import type { LocalhostHandling } from "../kube-proxy/kube-proxy-facts.ts";

export interface PlannedFrontend {
  readonly planned: ServicePortPlan;
  readonly frontend: Frontend;
}

const PROTOCOL_NUMBERS = { tcp: 6, udp: 17, sctp: 132 } as const;

const LOOPBACK: Readonly<Record<Family, Cidr | undefined>> = { 4: parseCidr("127.0.0.0/8"), 6: parseCidr("::1/128") };

interface PlacesOptions {
  readonly family: Family;
  readonly hostState: HostState;
  /** What kube-proxy does with NodePorts on loopback. */
  readonly localhost: (protocol: Protocol) => LocalhostHandling;
}

/** Finds what of a plan packets go to, in one family. */
export class PlanPlaces {
  readonly #family: Family;
  readonly #byAddress = new Map<IpAddress, PlannedFrontend[]>();
  readonly #nodePorts = new Map<number, PlannedFrontend[]>();
  readonly #clusterIPs = new Map<IpAddress, Set<string>>();
  readonly #serviceCIDRs: readonly Cidr[];
  readonly #healthChecks: ReadonlyMap<number, readonly string[]>;
  /** Addresses of the host's interfaces. */
  readonly #own: ReadonlySet<IpAddress>;
  readonly #nodePortAddresses: ReadonlySet<IpAddress>;
  readonly #endpoints: ReadonlySet<IpAddress>;
  readonly #localhost: (protocol: Protocol) => LocalhostHandling;

  constructor(plan: HostPlan, { family, hostState, localhost }: PlacesOptions) {
    this.#family = family;
    this.#localhost = localhost;
    for (const planned of plan.ports) {
      if (planned.family !== family) continue;
      for (const frontend of planned.frontends) {
        if (frontend.kind === "nodePort") add(this.#nodePorts, frontend.port, { planned, frontend });
        else for (const address of frontend.addresses) add(this.#byAddress, address, { planned, frontend });
        if (frontend.kind === "clusterIP")
          for (const address of frontend.addresses) {
            const names = this.#clusterIPs.get(address) ?? new Set<string>();
            this.#clusterIPs.set(address, names.add(nameOf(planned)));
          }
      }
    }
    this.#serviceCIDRs = plan.node.serviceCIDRs.filter(({ address }) => familyOf(address) === family);
    this.#healthChecks = new Map(
      [...Map.groupBy(plan.healthChecks, ({ port }) => Number(port))].map(([port, checks]) => [
        port,
        checks.map(({ service }) => `${service.namespace}/${service.name}`),
      ]),
    );
    this.#own = new Set(hostState.interfaces.flatMap(({ addresses }) => addresses.map(({ address }) => address)));
    this.#nodePortAddresses = new Set(plan.nodePortAddresses[family].addresses);
    this.#endpoints = new Set(
      plan.ports.flatMap((planned) =>
        planned.family === family ? planned.reachableEndpoints.map(({ address }) => address) : [],
      ),
    );
  }

  /** Whether kube-proxy itself listens on loopback for all of these NodePorts. */
  areProxied(places: readonly PlannedFrontend[]): boolean {
    return places.every(({ planned }) => this.#localhost(planned.port.protocol) === "proxied");
  }

  isLoopback(address: IpAddress): boolean {
    const block = LOOPBACK[this.#family];
    return block !== undefined && cidrContains(block, address);
  }

  /** Whether the host owns it. */
  isOwn(address: IpAddress): boolean {
    return this.#own.has(address);
  }

  isInServiceRange(address: IpAddress): boolean {
    return this.#serviceCIDRs.some((block) => cidrContains(block, address));
  }

  /** Whether the packets come from an endpoint. */
  comeFromEndpoint({ packet }: ComparedPackets): boolean {
    return this.#endpoints.has(packet.from);
  }

  isClusterIP(address: IpAddress): boolean {
    return this.#clusterIPs.has(address);
  }

  /** The frontends that the packets dial. NodePorts count where they will be served. */
  dialled(packets: ComparedPackets): readonly PlannedFrontend[] {
    return packets.destinations().flatMap((address) => {
      const at = (this.#byAddress.get(address) ?? []).filter((place) => isIn(place, packets));
      return this.#nodePortAddresses.has(address) ? [...at, ...this.nodePorts(packets)] : at;
    });
  }

  /** The NodePorts whose number and protocol the packets have, whatever their destination. */
  nodePorts(packets: ComparedPackets): readonly PlannedFrontend[] {
    const { port } = packets.packet;
    const single = port === undefined ? [] : (this.#nodePorts.get(port) ?? []);
    return single.filter((place) => isIn(place, packets));
  }

  /** Names of the services whose ClusterIPs the packets go to, whatever their port. */
  ofClusterIPs(packets: ComparedPackets): readonly string[] {
    return packets.destinations().flatMap((address) => [...(this.#clusterIPs.get(address) ?? [])]);
  }

  /** Names of the services whose health is asked for. */
  healthChecks({ packet: { port, protocol } }: ComparedPackets): readonly string[] {
    return port === undefined || protocol !== "tcp" ? [] : (this.#healthChecks.get(port) ?? []);
  }
}

export function nameOf({ service }: ServicePortPlan): string {
  return `${service.namespace}/${service.name}`;
}

function isIn({ planned, frontend }: PlannedFrontend, packets: ComparedPackets): boolean {
  return packets.hasPort(frontend.port) && packets.hasProtocol(PROTOCOL_NUMBERS[planned.port.protocol]);
}

function add<Key>(map: Map<Key, PlannedFrontend[]>, key: Key, place: PlannedFrontend): void {
  const known = map.get(key);
  if (known === undefined) map.set(key, [place]);
  else known.push(place);
}
