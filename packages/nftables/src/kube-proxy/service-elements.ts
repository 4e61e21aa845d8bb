import {
  cidrContains,
  type Endpoint,
  familyOf,
  formatCidr,
  formatSocketAddress,
  type HostPlan,
  isExternallyReachable,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { type ChainNames, nameChains } from "./name-chains.ts";
import { chain, type FamilyWords, hex, oneOf, podMatch } from "./table-text.ts";

/** What kube-proxy's table has of services in one family: elements of its sets and maps, and chains of their own. */
export class ServiceElements {
  readonly clusterIPs = new Set<string>();
  readonly hairpins = new Set<string>();
  readonly serviceIPs = new Map<string, string>();
  readonly serviceNodePorts = new Map<string, string>();
  readonly noEndpointServices = new Map<string, string>();
  readonly noEndpointNodePorts = new Map<string, string>();
  readonly firewallIPs = new Map<string, string>();
  /** Lines of text. */
  readonly affinitySets: string[] = [];
  readonly chains: string[] = [];
  readonly #plan: HostPlan;
  readonly #words: FamilyWords;
  readonly #nameOf: (port: ServicePortPlan) => ChainNames;

  constructor(plan: HostPlan, words: FamilyWords) {
    this.#plan = plan;
    this.#words = words;
    this.#nameOf = nameChains(plan);
  }

  add(planned: ServicePortPlan): void {
    const { service, port, hasEndpoints, localEndpoints } = planned;
    const { base } = this.#nameOf(planned);
    const isInternalLocal = service.internalTrafficPolicy === "Local";
    const isExternalLocal = service.externalTrafficPolicy === "Local";
    const hasInternal = hasEndpoints && !(isInternalLocal && localEndpoints.length === 0);
    const hasExternal = hasEndpoints && !(isExternalLocal && localEndpoints.length === 0);
    const unserved = hasEndpoints ? "drop" : "goto reject-chain";
    for (const { kind, addresses, port: number, sourceRanges } of planned.frontends) {
      const served = kind === "clusterIP" ? hasInternal : hasEndpoints;
      const to = kind !== "clusterIP" ? "external" : isInternalLocal ? "local" : "service";
      const isOpen = kind === "clusterIP" ? hasInternal : hasExternal;
      if (kind === "nodePort") {
        const key = `${port.protocol} . ${number}`;
        if (served) this.serviceNodePorts.set(key, `goto ${to}-${base}`);
        if (!isOpen) this.noEndpointNodePorts.set(key, unserved);
        continue;
      }
      for (const address of addresses) {
        const key = `${address} . ${port.protocol} . ${number}`;
        if (kind === "clusterIP") this.clusterIPs.add(address);
        if (served) this.serviceIPs.set(key, `goto ${to}-${base}`);
        if (!isOpen) this.noEndpointServices.set(key, unserved);
        if (sourceRanges.length > 0) this.firewallIPs.set(key, `goto firewall-${base}`);
      }
    }
    this.#addHairpins(planned);
    this.#addChains(planned, { base, hasExternal, isExternalLocal });
  }

  /** Endpoints of this host that reach themselves. */
  #addHairpins({ port: { protocol }, reachableEndpoints }: ServicePortPlan): void {
    for (const { address, port, host } of reachableEndpoints)
      if (host === this.#plan.host.name) this.hairpins.add(`${address} . ${address} . ${protocol} . ${port}`);
  }

  #addChains(
    planned: ServicePortPlan,
    {
      base,
      hasExternal,
      isExternalLocal,
    }: { readonly base: string; readonly hasExternal: boolean; readonly isExternalLocal: boolean },
  ): void {
    const { service, port, family, hasEndpoints, clusterEndpoints, localEndpoints, affinity } = planned;
    const isExternal = isExternallyReachable(service, { port, family });
    const usesCluster = service.internalTrafficPolicy === "Cluster" || isExternal;
    const usesLocal = service.internalTrafficPolicy === "Local" || (isExternalLocal && isExternal);
    if (affinity !== undefined) this.#addRemembering(planned, affinity.timeoutSeconds);
    if (usesCluster && clusterEndpoints.length > 0)
      this.chains.push(...chain(`service-${base}`, this.#choose(planned, clusterEndpoints)));
    if (usesLocal && localEndpoints.length > 0)
      this.chains.push(...chain(`local-${base}`, this.#choose(planned, localEndpoints)));
    if (hasEndpoints && isExternal)
      this.chains.push(...chain(`external-${base}`, this.#external({ base, hasExternal, isExternalLocal })));
    const ranges = planned.frontends.find(({ sourceRanges }) => sourceRanges.length > 0)?.sourceRanges;
    if (ranges === undefined) return;
    const balancers = planned.frontends.flatMap(({ kind, addresses }) => (kind === "loadBalancerIP" ? addresses : []));
    const node = this.#plan.host.addresses.find((address) => familyOf(address) === family);
    const isNodeInside = node !== undefined && ranges.some((range) => cidrContains(range, node));
    const allowed = [...ranges.map(formatCidr), ...(isNodeInside ? balancers : [])];
    this.chains.push(...chain(`firewall-${base}`, [`${this.#words.ip} saddr != ${oneOf(allowed)} drop`]));
  }

  /** How one of some endpoints is chosen: at once, or where a client went before. */
  #choose(planned: ServicePortPlan, endpoints: readonly Endpoint[]): readonly string[] {
    const sorted = endpoints.toSorted((a, b) => (formatSocketAddress(a) < formatSocketAddress(b) ? -1 : 1));
    if (planned.affinity !== undefined) {
      const names = sorted.map((endpoint) => this.#nameOf(planned).ofEndpoint(endpoint));
      return [
        ...names.map((name) => `${this.#words.ip} saddr @affinity-${name} goto endpoint-${name}`),
        `numgen random mod ${names.length} vmap { ${names.map((name, index) => `${index} : goto endpoint-${name}`).join(", ")} }`,
      ];
    }
    const dnat = `meta l4proto ${planned.port.protocol} dnat`;
    const [only] = sorted;
    if (only !== undefined && sorted.length === 1) return [`${dnat} to ${formatSocketAddress(only)}`];
    const places = sorted.map(({ address, port }, index) => `${index} : ${address} . ${port}`);
    return [`${dnat} ${this.#words.ip} to numgen random mod ${places.length} map { ${places.join(", ")} }`];
  }

  #addRemembering(planned: ServicePortPlan, timeoutSeconds: number): void {
    for (const endpoint of planned.reachableEndpoints) {
      const name = this.#nameOf(planned).ofEndpoint(endpoint);
      this.affinitySets.push(
        `\tset affinity-${name} {`,
        ...[`type ${this.#words.type}`, "size 65535", "flags dynamic,timeout", `timeout ${timeoutSeconds}s`].map(
          (line) => `\t\t${line}`,
        ),
        "\t}",
      );
      this.chains.push(
        ...chain(`endpoint-${name}`, [
          `update @affinity-${name} { ${this.#words.ip} saddr }`,
          `meta l4proto ${planned.port.protocol} dnat to ${formatSocketAddress(endpoint)}`,
        ]),
      );
    }
  }

  /** What clients from outside get; this host's pods and the host itself get all endpoints whatever the policy. */
  #external({
    base,
    hasExternal,
    isExternalLocal,
  }: {
    readonly base: string;
    readonly hasExternal: boolean;
    readonly isExternalLocal: boolean;
  }): readonly string[] {
    const marks = `meta mark set meta mark | ${hex(2 ** this.#plan.node.masqueradeBit)}`;
    if (!isExternalLocal) return [marks, ...(hasExternal ? [`goto service-${base}`] : [])];
    const pods = podMatch(this.#plan.podDetector, { words: this.#words, isNegated: false });
    return [
      ...(pods === undefined ? [] : [`${pods} goto service-${base}`]),
      `fib saddr type local ${marks}`,
      `fib saddr type local goto service-${base}`,
      ...(hasExternal ? [`goto local-${base}`] : []),
    ];
  }
}
