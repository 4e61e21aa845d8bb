import { type Cidr, type ClientKind, cidrContains, type IpAddress } from "@svcproxy/topology";

/** Clients whose kind is remembered; beyond this the memory is emptied. */
const MAX_REMEMBERED = 16_384;

/** Tells clients apart by their address: this host's own, its pods', everyone else's. The host wins over a pod. */
export class ClientClassifier {
  readonly #hostAddresses: ReadonlySet<IpAddress>;
  readonly #podCidrs: readonly Cidr[];
  readonly #remembered = new Map<string, ClientKind>();

  /** @param hostAddresses every address that is local to this host; loopback addresses are always */
  constructor({ hostAddresses, podCidrs }: { hostAddresses: Iterable<IpAddress>; podCidrs: readonly Cidr[] }) {
    this.#hostAddresses = new Set(hostAddresses);
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
   * Whether source ranges let a client in. A host that dials a VIP of its own has the VIP as its source, so there its
   * other addresses count too.
   */
  isAllowed(client: IpAddress, { ranges, vip }: { ranges: readonly Cidr[]; vip: IpAddress }): boolean {
    if (ranges.length === 0 || ranges.some((range) => cidrContains(range, client))) return true;
    if (client !== vip) return false;
    return ranges.some((range) => [...this.#hostAddresses].some((address) => cidrContains(range, address)));
  }
}
