import { type Cidr, type ClientKind, cidrContains, type IpAddress } from "@svcproxy/topology";

/** Clients whose kind is remembered; beyond this the memory is emptied. */
const MAX_REMEMBERED = 16_384;

export interface ClientFacts {
  /** Every address that is local to this host, VIPs included; loopback addresses are always. */
  readonly hostAddresses: readonly IpAddress[];
  /** Those of them that it has without the proxy. */
  readonly ownAddresses: readonly IpAddress[];
  readonly podCidrs: readonly Cidr[];
}

/** Tells clients apart by their address: this host's own, its pods', everyone else's. The host wins over a pod. */
export class ClientClassifier {
  readonly #hostAddresses: ReadonlySet<IpAddress>;
  readonly #ownAddresses: readonly IpAddress[];
  readonly #podCidrs: readonly Cidr[];
  readonly #remembered = new Map<string, ClientKind>();

  constructor({ hostAddresses, ownAddresses, podCidrs }: ClientFacts) {
    this.#hostAddresses = new Set(hostAddresses);
    this.#ownAddresses = ownAddresses;
    this.#podCidrs = podCidrs;
  }

  kindOf(client: IpAddress): ClientKind {
    const known = this.#remembered.get(client);
    if (known !== undefined) return known;
    const kind = this.#decide(client);
    if (this.#remembered.size >= MAX_REMEMBERED) this.#remembered.clear();
    this.#remembered.set(client, kind);
    return kind;
  }

  #decide(client: IpAddress): ClientKind {
    if (client.startsWith("127.") || client === "::1" || this.#hostAddresses.has(client)) return "host";
    return this.#podCidrs.some((cidr) => cidrContains(cidr, client)) ? "pod" : "outside";
  }

  /**
   * Whether source ranges let a client in. A host that dials a VIP of its own has the VIP as its source, which says nothing:
   * without the proxy, one of its own addresses would be.
   */
  isAllowed(client: IpAddress, { ranges, vip }: { ranges: readonly Cidr[]; vip: IpAddress }): boolean {
    if (ranges.length === 0) return true;
    const sources = client === vip ? this.#ownAddresses : [client];
    return ranges.some((range) => sources.some((source) => cidrContains(range, source)));
  }
}
