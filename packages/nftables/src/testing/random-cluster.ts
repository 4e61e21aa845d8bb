import { type HostPlan, parseTopology, planHost } from "@svcproxy/topology";

/** A stream of numbers that a seed decides, so that a failure can be played again. */
export function randomSource(seed: number): () => number {
  let state = seed >>> 0;
  // mulberry32
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

interface RandomService {
  readonly ports: RandomPort[];
  endpoints: number[];
  externalIP: boolean;
  loadBalancerIP: boolean;
  ranges: boolean;
  internalLocal: boolean;
  externalLocal: boolean;
  timeout: number | undefined;
}

interface RandomPort {
  readonly protocol: "TCP" | "UDP" | "SCTP";
  nodePort: boolean;
}

const PROTOCOLS = ["TCP", "UDP", "SCTP"] as const;
const TIMEOUTS = [undefined, undefined, undefined, 600, 10_800] as const;
/** Pods on each of two hosts. */
const PODS = 8;

export const PODS_OF_BOTH = 2 * PODS;

const RANDOM_HOST = "one";

/** The pods by number: the first half runs on RANDOM_HOST. Both families. */
export function randomPod(index: number): { readonly name: string; readonly ipv4: string; readonly ipv6: string } {
  const host = index < PODS ? 0 : 1;
  const place = (index % PODS) + 2;
  return { name: `p${index}`, ipv4: `10.5.${host}.${place}`, ipv6: `fd05:${host}::${place}` };
}

/** Services that come, go and change at random, on two hosts. */
export class RandomCluster {
  readonly #random: () => number;
  readonly #services = new Map<number, RandomService>();
  readonly #most: number;
  #node: Record<string, unknown> = {};

  constructor(random: () => number, { services }: { readonly services: number }) {
    this.#random = random;
    this.#most = services;
    for (let index = 0; index < services / 2; index++) this.#services.set(index, this.#newService());
  }

  /** One to three changes. @returns the services that are not as before, `namespace/name`; undefined: the node's settings changed */
  step(): ReadonlySet<string> | undefined {
    if (this.#chance(0.03)) {
      this.#node = this.#randomNode();
      return undefined;
    }
    const changed = new Set<string>();
    for (let changes = 1 + this.#below(3); changes > 0; changes--) {
      const index = this.#below(this.#most);
      changed.add(`default/s${index}`);
      const service = this.#services.get(index);
      if (service === undefined) this.#services.set(index, this.#newService());
      else if (this.#chance(0.15)) this.#services.delete(index);
      else this.#change(service);
    }
    return changed;
  }

  plan(): HostPlan {
    return planHost(parseTopology(Buffer.from(JSON.stringify(this.#topology())), { file: "random" }).topology, {
      host: RANDOM_HOST,
    });
  }

  #topology(): object {
    const hosts = [RANDOM_HOST, "two"].map((name, host) => ({
      name,
      addresses: [`192.168.1.${6 + host}`, `fd01::${6 + host}`],
      podCIDRs: [`10.5.${host}.0/24`, `fd05:${host}::/64`],
      pods: Array.from({ length: PODS }, (_, place) => {
        const pod = randomPod(host * PODS + place);
        return { name: pod.name, addresses: [`${pod.ipv4}:8080`, `[${pod.ipv6}]:8080`] };
      }),
    }));
    const services = Array.from(this.#services, ([index, service]) => this.#serviceText(index, service));
    return { hosts, services, node: { serviceCIDRs: ["10.100.0.0/16", "fd10::/64"], ...this.#node } };
  }

  #serviceText(index: number, service: RandomService): object {
    const isExternal = service.externalIP || service.loadBalancerIP || service.ports.some(({ nodePort }) => nodePort);
    return {
      name: `s${index}`,
      clusterIPs: [`10.100.0.${index + 1}`, `fd10::${(index + 1).toString(16)}`],
      ...(service.externalIP && { externalIPs: [`203.0.113.${index + 1}`, `fd20::${(index + 1).toString(16)}`] }),
      ...(service.loadBalancerIP && {
        loadBalancerIPs: [`198.51.100.${index + 1}`, `fd21::${(index + 1).toString(16)}`],
      }),
      ...(service.loadBalancerIP &&
        service.ranges && { loadBalancerSourceRanges: ["192.168.1.0/24", "10.5.0.0/16", "fd01::/64"] }),
      ...(service.internalLocal && { internalTrafficPolicy: "Local" }),
      ...(service.externalLocal && isExternal && { externalTrafficPolicy: "Local" }),
      ...(service.timeout !== undefined && {
        sessionAffinity: "ClientIP",
        sessionAffinityTimeoutSeconds: service.timeout,
      }),
      ports: service.ports.map(({ protocol, nodePort }, place) => ({
        name: `port${place}`,
        port: 80 + place,
        protocol,
        ...(nodePort && { nodePort: 30_000 + index * 3 + place }),
      })),
      endpoints: service.endpoints.map((pod) => randomPod(pod).name),
    };
  }

  #newService(): RandomService {
    const service: RandomService = {
      ports: Array.from({ length: 1 + this.#below(3) }, (_, place) => ({
        protocol: PROTOCOLS[place] ?? "TCP",
        nodePort: this.#chance(0.5),
      })),
      endpoints: [],
      externalIP: this.#chance(0.3),
      loadBalancerIP: this.#chance(0.3),
      ranges: this.#chance(0.5),
      internalLocal: this.#chance(0.2),
      externalLocal: this.#chance(0.3),
      timeout: TIMEOUTS[this.#below(TIMEOUTS.length)],
    };
    this.#newEndpoints(service);
    return service;
  }

  #newEndpoints(service: RandomService): void {
    const all = Array.from({ length: PODS_OF_BOTH }, (_, pod) => pod);
    const count = this.#chance(0.1) ? 0 : 1 + this.#below(6);
    service.endpoints = Array.from({ length: count }, () => all.splice(this.#below(all.length), 1)).flat();
  }

  #change(service: RandomService): void {
    const { endpoints } = service;
    switch (this.#below(12)) {
      case 0:
        this.#newEndpoints(service);
        break;
      case 1:
        service.externalIP = !service.externalIP;
        break;
      case 2:
        service.loadBalancerIP = !service.loadBalancerIP;
        break;
      case 3:
        service.ranges = !service.ranges;
        break;
      case 4:
        service.internalLocal = !service.internalLocal;
        break;
      case 5:
        service.externalLocal = !service.externalLocal;
        break;
      case 6:
        service.timeout = TIMEOUTS[this.#below(TIMEOUTS.length)];
        break;
      case 7:
        for (const port of service.ports) port.nodePort = this.#chance(0.5);
        break;
      default: {
        // What happens most: an endpoint goes, comes, or makes room for another.
        const isGoing = endpoints.length > 0 && this.#chance(0.6);
        if (isGoing) endpoints.splice(this.#below(endpoints.length), 1);
        const next = this.#below(PODS_OF_BOTH);
        if ((!isGoing || this.#chance(0.5)) && !endpoints.includes(next)) endpoints.push(next);
      }
    }
  }

  #randomNode(): Record<string, unknown> {
    return {
      ...(this.#chance(0.2) && { masqueradeAll: true }),
      ...(this.#chance(0.2) && { masqueradeBit: 20 }),
      ...(this.#chance(0.3) && { nodePortAddresses: ["192.168.0.0/16", "fd01::/64"] }),
      ...(this.#chance(0.2) && { localhostNodePorts: true }),
      ...(this.#chance(0.2) && { clusterCIDR: "10.5.0.0/16,fd05::/32" }),
      ...(this.#chance(0.2) && { affinityTableSize: 1024 }),
    };
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #chance(share: number): boolean {
    return this.#random() < share;
  }
}
