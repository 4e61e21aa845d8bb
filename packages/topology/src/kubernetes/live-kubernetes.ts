import { cidrContains, formatCidr, type IpAddress } from "../address.ts";
import type { Fault } from "../errors.ts";
import type { Host, NodeSettings, Service, Topology } from "../model.ts";
import { configureNode } from "../proxy-configuration/configure-node.ts";
import type { ParsedProxyConfiguration } from "../proxy-configuration/parse-proxy-configuration.ts";
import { LiveNodes } from "./live-nodes.ts";
import { type LiveKind, LiveObject } from "./live-object.ts";
import { LiveServices, type RefusedObject } from "./live-services.ts";
import type { KubernetesOptions } from "./parse-kubernetes.ts";
import { ownerOf, type PortEndpoints, readSlice, type ServiceKey } from "./read-endpoints.ts";
import { type KubernetesNode, readCidr } from "./read-nodes.ts";
import { describeRefusedIPs } from "./read-services.ts";

export type { LiveKind } from "./live-object.ts";
export type { RefusedObject } from "./live-services.ts";

/** A cluster as it is after some of its objects changed. */
export interface LiveState {
  /** Shares with the state before it each host, service and setting that has stayed; it is the same where nothing changed. */
  readonly topology: Topology;
  /** Services (`namespace/name`) that came, went or are otherwise; `everything`: what all hang on is. */
  readonly changed: "everything" | ReadonlySet<ServiceKey>;
  readonly warnings: readonly Fault[];
  readonly refused: readonly RefusedObject[];
}

interface Slice {
  readonly owner: ServiceKey | undefined;
  readonly endpoints: readonly PortEndpoints[];
  readonly refused: RefusedObject | undefined;
  readonly warnings: readonly Fault[];
}

/**
 * The topology of a cluster whose objects come one by one: what one of them changes costs the reading of its service, not of all. Objects
 * are as an API server has them; a Node that went stays as it was last, because what it has is served on it nevertheless.
 */
export class LiveKubernetes {
  readonly #services: LiveServices;
  readonly #slices = new Map<string, Slice>();
  readonly #slicesOf = new Map<ServiceKey, Set<string>>();
  readonly #nodes = new LiveNodes();
  readonly #serviceCIDRs = new Map<string, LiveObject>();
  #configuration: ParsedProxyConfiguration | undefined;
  #areSettingsDirty = true;
  #settings: { readonly node: NodeSettings; readonly warnings: readonly Fault[] } | undefined;
  #hosts: readonly Host[] = [];
  /** Where each service is in the topology. */
  #places: ReadonlyMap<ServiceKey, number> = new Map();
  /** Slices of which there is something to be said. */
  readonly #notableSlices = new Set<string>();
  /** Addresses that the settings were read beside. */
  #others = "";
  #last: LiveState | undefined;

  constructor(options: KubernetesOptions = {}) {
    this.#services = new LiveServices({ allowExternalIPs: options.allowExternalIPs ?? [] });
    this.#configuration = options.configuration;
  }

  /** kube-proxy's settings, from now on. */
  configure(configuration: ParsedProxyConfiguration): void {
    this.#configuration = configuration;
    this.#areSettingsDirty = true;
  }

  /** @param key `namespace/name`, or the name of what has no namespace */
  set(kind: LiveKind, key: string, value: unknown): void {
    switch (kind) {
      case "Service":
        this.#services.set(key, value);
        break;
      case "EndpointSlice":
        this.#setSlice(key, value);
        break;
      case "Node":
        if (!this.#nodes.set(key, value)) break;
        this.#services.surroundingsChanged();
        this.#areSettingsDirty = true;
        break;
      case "ServiceCIDR":
        this.#serviceCIDRs.set(key, new LiveObject(kind, value));
        this.#areSettingsDirty = true;
    }
  }

  remove(kind: LiveKind, key: string): void {
    switch (kind) {
      case "Service":
        this.#services.remove(key);
        break;
      case "EndpointSlice":
        this.#putSlice(key, undefined);
        break;
      case "Node":
        break;
      case "ServiceCIDR":
        this.#serviceCIDRs.delete(key);
        this.#areSettingsDirty = true;
    }
  }

  #setSlice(key: string, value: unknown): void {
    const live = new LiveObject("EndpointSlice", value);
    const owner = ownerOf(live.object);
    const endpoints = readSlice(live.object).map(({ field: _, ...group }) => group);
    const [first, ...others] = live.errors;
    const before = this.#slices.get(key);
    this.#putSlice(key, {
      owner: owner === undefined ? undefined : `${live.object.namespace}/${owner}`,
      endpoints: first === undefined ? endpoints : (before?.endpoints ?? []),
      refused:
        first === undefined
          ? undefined
          : { entry: live.name, isKept: (before?.endpoints.length ?? 0) > 0, faults: [first, ...others] },
      warnings: live.warnings,
    });
  }

  #putSlice(key: string, slice: Slice | undefined): void {
    const before = this.#slices.get(key);
    if (slice === undefined) this.#slices.delete(key);
    else this.#slices.set(key, slice);
    if (slice !== undefined && (slice.refused !== undefined || slice.warnings.length > 0)) this.#notableSlices.add(key);
    else this.#notableSlices.delete(key);
    for (const owner of new Set([before?.owner, slice?.owner])) {
      if (owner === undefined) continue;
      const slices = this.#slicesOf.get(owner) ?? new Set();
      if (slice?.owner === owner) slices.add(key);
      else slices.delete(key);
      if (slices.size > 0) this.#slicesOf.set(owner, slices);
      else this.#slicesOf.delete(owner);
      this.#services.endpointsChanged(owner);
    }
  }

  /** What there is now. */
  state(): LiveState {
    const nodes = this.#nodes.list;
    const changed = this.#services.update({
      nodes,
      endpointsOf: (key) => this.#endpointsOf(key),
    });
    const last = this.#last?.topology;
    const services = this.#servicesAfter(changed, last?.services);
    const hosts = this.#hostsOf(nodes);
    if (this.#areSettingsDirty || this.#serviceCIDRs.size > 0) this.#readSettings(nodes);
    const node = lastIfEqual(this.#settings?.node, last?.node);
    if (node === undefined) throw new TypeError("there are no settings");
    const isSame = last !== undefined && services === last.services && hosts === last.hosts && node === last.node;
    const topology: Topology = isSame ? last : { source: "kubernetes", hosts, services, node };
    const isOther = last === undefined || hosts !== last.hosts || node !== last.node;
    this.#last = {
      topology,
      changed: isOther ? "everything" : new Set(changed.keys()),
      warnings: this.#warnings(),
      refused: this.#refused(),
    };
    return this.#last;
  }

  /** Slice by slice in the order of their names, so that equal clusters give equal plans. */
  #endpointsOf(key: ServiceKey): readonly PortEndpoints[] {
    const slices = [...(this.#slicesOf.get(key) ?? [])].sort();
    return slices.flatMap((slice) => this.#slices.get(slice)?.endpoints ?? []);
  }

  /** In the order of their names. */
  #servicesAfter(
    changed: ReadonlyMap<ServiceKey, Service | undefined>,
    before: readonly Service[] = [],
  ): readonly Service[] {
    if (changed.size === 0) return before;
    const isSameSet = [...changed].every(([key, service]) => service !== undefined && this.#places.has(key));
    if (isSameSet) {
      const services = [...before];
      for (const [key, service] of changed) {
        const place = this.#places.get(key);
        if (place !== undefined && service !== undefined) services[place] = service;
      }
      return services;
    }
    const byKey = new Map([...this.#places].flatMap(([key, place]) => (before[place] ? [[key, before[place]]] : [])));
    for (const [key, service] of changed) {
      if (service === undefined) byKey.delete(key);
      else byKey.set(key, service);
    }
    const sorted = [...byKey.keys()].sort();
    this.#places = new Map(sorted.map((key, place) => [key, place]));
    return sorted.flatMap((key) => byKey.get(key) ?? []);
  }

  /** Pods are not among them: endpoints say where they are. */
  #hostsOf(nodes: readonly KubernetesNode[]): readonly Host[] {
    const hosts = nodes.map(({ host }) => ({ ...host, pods: [] }));
    this.#hosts = lastIfEqual(hosts, this.#hosts);
    return this.#hosts;
  }

  /** A block that holds the address of something else is named and left out: in it what no service has would be refused. */
  #readSettings(nodes: readonly KubernetesNode[]): void {
    const others = [...this.#otherAddresses(nodes)];
    const said = JSON.stringify(others);
    if (!this.#areSettingsDirty && said === this.#others) return;
    this.#areSettingsDirty = false;
    this.#others = said;
    const warnings: Fault[] = [];
    const cidrs = [...this.#serviceCIDRs.values()].flatMap((live) => {
      const read = live.object.field
        .at("spec", "cidrs")
        .items()
        .flatMap((field) => readCidr(field) ?? []);
      warnings.push(...live.errors, ...live.warnings);
      return read.filter((cidr) => {
        const inside = others.find(([address]) => cidrContains(cidr, address));
        if (inside === undefined) return true;
        const [address, what] = inside;
        warnings.push({
          ...{ severity: "warning", code: "SERVICE_CIDR_TOO_WIDE", at: { object: live.name } },
          message: `${live.name}: ${formatCidr(cidr)} holds ${address}, the address of ${what}, so unassigned addresses in it are not refused`,
        });
        return false;
      });
    });
    const settings = configureNode(cidrs.length === 0 ? {} : { serviceCIDRs: cidrs }, this.#configuration);
    this.#settings = { node: settings.node, warnings: [...settings.warnings, ...warnings] };
  }

  *#otherAddresses(nodes: readonly KubernetesNode[]): Generator<readonly [IpAddress, string]> {
    for (const { host } of nodes) for (const address of host.addresses) yield [address, `node ${host.name}`];
    for (const { key, outsideIPs } of this.#services.notable) {
      for (const address of outsideIPs) yield [address, `Service ${key} outside the cluster`];
    }
  }

  #warnings(): readonly Fault[] {
    const entries = this.#services.notable;
    const refused = entries.filter(({ refusedIPs }) => refusedIPs.length > 0);
    const { reason, hint } = describeRefusedIPs(
      // Without how many there are: each that comes or goes would be told as a new warning.
      refused.map(({ key, refusedIPs }) => ({ service: key, addresses: refusedIPs })),
    );
    return [
      ...(this.#settings?.warnings ?? []),
      ...this.#nodes.warnings,
      ...(refused.length === 0
        ? []
        : [{ severity: "warning", code: "EXTERNAL_IP_REFUSED", message: capitalize(reason), hint } as const]),
      ...entries.flatMap(({ warnings }) => warnings),
      ...this.#slicesToTell().flatMap(({ warnings }) => warnings),
    ];
  }

  #refused(): readonly RefusedObject[] {
    return [
      ...this.#nodes.refused,
      ...this.#services.notable.flatMap(({ refused }) => refused ?? []),
      ...this.#slicesToTell().flatMap(({ refused }) => refused ?? []),
    ];
  }

  #slicesToTell(): readonly Slice[] {
    return [...this.#notableSlices].flatMap((key) => this.#slices.get(key) ?? []);
  }
}

function capitalize(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function lastIfEqual<Value>(now: Value, last: Value | undefined): Value {
  return last !== undefined && JSON.stringify(last) === JSON.stringify(now) ? last : now;
}
