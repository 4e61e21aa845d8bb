import { formatSocketAddress, type RegisteredEndpoint, type Topology } from "@svcproxy/topology";

/** What left on purpose is known to have for this long, for the case that its going is held up by something else. */
const REMEMBERED_MS = 3_600_000;

/** Endpoints that are not in use because they, or somebody, said so: that many go at once is then no reason to doubt it. */
export class WithdrawnEndpoints {
  /** Until when, by `address:port`. */
  readonly #until = new Map<string, number>();

  /**
   * @param gone registrations that ended on purpose since the last time
   * @returns `address:port` of each that is withdrawn
   */
  update(
    topology: Topology,
    {
      before,
      gone,
      now,
    }: { readonly before: Topology | undefined; readonly gone: readonly RegisteredEndpoint[]; readonly now: number },
  ): ReadonlySet<string> {
    for (const endpoint of gone) {
      for (const address of addressesOf(endpoint, before)) this.#until.set(address, now + REMEMBERED_MS);
    }
    const out = new Set<string>();
    for (const { ports } of topology.services) {
      for (const { endpoints } of ports) {
        for (const endpoint of endpoints) {
          if (!endpoint.ready || endpoint.terminating) out.add(formatSocketAddress(endpoint));
          else if (this.#until.size > 0) this.#until.delete(formatSocketAddress(endpoint));
        }
      }
    }
    for (const [address, until] of this.#until) if (until < now) this.#until.delete(address);
    return new Set([...out, ...this.#until.keys()]);
  }
}

/** Where it was served; its port may have been the service's `targetPort`. */
function addressesOf(
  { namespace, service, address }: RegisteredEndpoint,
  topology: Topology | undefined,
): readonly string[] {
  const served = topology?.services.find((one) => one.namespace === namespace && one.name === service);
  const endpoints = served?.ports.flatMap((port) => port.endpoints) ?? [];
  return endpoints.filter((endpoint) => endpoint.address === address).map(formatSocketAddress);
}
