import type { Cidr, IpAddress } from "../address.ts";
import type { Fault } from "../errors.ts";
import type { Service } from "../model.ts";
import { buildService, endpointsOfPort } from "./build-kubernetes-topology.ts";
import { checkFrontends } from "./check-frontends.ts";
import { LiveObject } from "./live-object.ts";
import type { PortEndpoints, ServiceKey } from "./read-endpoints.ts";
import type { KubernetesNode } from "./read-nodes.ts";
import { type KubernetesService, readService } from "./read-services.ts";

/** An object whose last word could not be taken. */
export interface RefusedObject {
  /** `Service default/web`. */
  readonly entry: string;
  /** Whether an earlier state of it is served. */
  readonly isKept: boolean;
  readonly faults: readonly [Fault, ...Fault[]];
}

/** What Services hang on besides themselves. */
export interface ServiceSurroundings {
  readonly nodes: readonly KubernetesNode[];
  endpointsOf(key: ServiceKey): readonly PortEndpoints[];
}

interface Entry {
  readonly key: ServiceKey;
  /** What the API server has. */
  readonly value: unknown;
  /** The last that could be read; undefined: there was none. */
  readonly good: unknown;
  /** What of it nobody else may have. */
  readonly claims: readonly string[];
  readonly refused: RefusedObject | undefined;
  readonly warnings: readonly Fault[];
  readonly refusedIPs: readonly IpAddress[];
  /** Its external and load-balancer IPs. */
  readonly outsideIPs: readonly IpAddress[];
  /** Absent: it is not served, because it never could be read or another Service has what it wants. */
  readonly service?: Service;
}

/**
 * The Services of a cluster, one read at a time as it changes. One that cannot be read stays as it was, or is left out, and holds up no
 * other. Of several that want the same address and port the oldest has it.
 */
export class LiveServices {
  readonly #entries = new Map<ServiceKey, Entry>();
  readonly #holders = new Map<string, Set<ServiceKey>>();
  readonly #values = new Map<ServiceKey, unknown>();
  readonly #allowExternalIPs: readonly Cidr[];
  /** What was read since the last update: while a list of thousands comes in there is time for it, and once is enough. */
  readonly #fresh = new Map<unknown, ReadOne>();
  readonly #notable = new Set<ServiceKey>();
  /** To be read again; `endpoints`: only who serves them differs. */
  readonly #dirty = new Map<ServiceKey, "object" | "endpoints">();

  constructor({ allowExternalIPs }: { readonly allowExternalIPs: readonly Cidr[] }) {
    this.#allowExternalIPs = allowExternalIPs;
  }

  set(key: ServiceKey, value: unknown): void {
    this.#fresh.delete(this.#values.get(key));
    this.#values.set(key, value);
    this.#readOne(value);
    this.#dirty.set(key, "object");
  }

  remove(key: ServiceKey): void {
    this.#fresh.delete(this.#values.get(key));
    this.#values.delete(key);
    this.#dirty.set(key, "object");
  }

  endpointsChanged(key: ServiceKey): void {
    if (this.#values.has(key) && !this.#dirty.has(key)) this.#dirty.set(key, "endpoints");
  }

  surroundingsChanged(): void {
    for (const key of this.#values.keys()) this.#dirty.set(key, "object");
  }

  /** Those of which there is something to be said: what is wrong with them, or which addresses outside the cluster they have. */
  get notable(): readonly Entry[] {
    return [...this.#notable].flatMap((key) => this.#entries.get(key) ?? []);
  }

  /** Reads what changed. @returns each Service that is served otherwise than before; undefined: not any more */
  update(surroundings: ServiceSurroundings): ReadonlyMap<ServiceKey, Service | undefined> {
    const before = new Map<ServiceKey, Service | undefined>();
    const todo = [...this.#dirty];
    this.#dirty.clear();
    const affected = new Set<ServiceKey>();
    for (const [key, what] of todo) {
      before.set(key, this.#entries.get(key)?.service);
      if (what === "endpoints") this.#serve(key, surroundings);
      else for (const other of this.#read(key)) affected.add(other);
    }
    for (const key of affected) {
      if (!before.has(key)) before.set(key, this.#entries.get(key)?.service);
      this.#check(key, surroundings);
    }
    this.#fresh.clear();
    for (const key of before.keys()) {
      const entry = this.#entries.get(key);
      if (entry !== undefined && isNotable(entry)) this.#notable.add(key);
      else this.#notable.delete(key);
    }
    return this.#differences(before);
  }

  /** Those that are not the same; what is the same by content is the same object again. */
  #differences(before: ReadonlyMap<ServiceKey, Service | undefined>): ReadonlyMap<ServiceKey, Service | undefined> {
    const changed = new Map<ServiceKey, Service | undefined>();
    for (const [key, old] of before) {
      const entry = this.#entries.get(key);
      const now = entry?.service;
      if (now === old) continue;
      if (entry !== undefined && old !== undefined && JSON.stringify(now) === JSON.stringify(old)) {
        this.#entries.set(key, { ...entry, service: old });
      } else changed.set(key, now);
    }
    return changed;
  }

  /** Takes in what the object claims. @returns all whose claims have to be looked at again */
  #read(key: ServiceKey): ReadonlySet<ServiceKey> {
    const last = this.#entries.get(key);
    const affected = new Set<ServiceKey>([key]);
    const release = () => {
      for (const claim of last?.claims ?? []) {
        const holders = this.#holders.get(claim);
        for (const holder of holders ?? []) affected.add(holder);
        holders?.delete(key);
        if (holders?.size === 0) this.#holders.delete(claim);
      }
    };
    release();
    const value = this.#values.get(key);
    if (value === undefined) {
      this.#entries.delete(key);
      return affected;
    }
    const isReadable = this.#readOne(value).live.errors.length === 0;
    const good = isReadable ? value : last?.good;
    const claims = good === undefined ? [] : claimsOf(this.#readOne(good).service);
    for (const claim of claims) {
      const holders = this.#holders.get(claim) ?? new Set();
      for (const holder of holders) affected.add(holder);
      this.#holders.set(claim, holders.add(key));
    }
    const service = last?.service;
    this.#entries.set(key, {
      ...{ key, value, good, claims, refused: undefined, warnings: [], refusedIPs: [], outsideIPs: [] },
      ...(service === undefined ? {} : { service }),
    });
    return affected;
  }

  /** Looks at it beside those that want the same, and serves what it gets. */
  #check(key: ServiceKey, surroundings: ServiceSurroundings): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    const { nodes } = surroundings;
    const { value, good, claims } = entry;
    // What is found in a check is added to what was read: it serves one check.
    const lastWord = this.#readOne(value);
    this.#fresh.delete(value);
    const own = good === value ? lastWord : good === undefined ? undefined : this.#readAnew(good);
    if (own === undefined) {
      this.#entries.set(key, { ...withoutService(entry), refused: refusalOf(lastWord.live, { isKept: false }) });
      return;
    }
    const rivals = new Set(claims.flatMap((claim) => [...(this.#holders.get(claim) ?? [])]));
    rivals.delete(key);
    const others = [...rivals].flatMap((other) => {
      const { good: theirs } = this.#entries.get(other) ?? {};
      return theirs === undefined ? [] : [this.#readAnew(theirs).service];
    });
    const group = [...others, own.service].sort((a, b) => compareAges(a, b));
    const checked = checkFrontends(group, { nodes, pods: [] })[group.indexOf(own.service)];
    const isRefused = own.live.errors.length > 0 || checked === undefined;
    const refused = isRefused
      ? refusalOf(own.live, { isKept: false })
      : good === value
        ? undefined
        : refusalOf(lastWord.live, { isKept: true });
    const base = {
      ...withoutService(entry),
      ...{ refused, warnings: own.live.warnings },
      refusedIPs: own.service.refusedIPs.map(({ address }) => address),
      outsideIPs: own.service.vips.filter(({ kind }) => kind !== "clusterIP").map(({ address }) => address),
    };
    const service = isRefused ? undefined : buildService(checked, joinedWith(key, surroundings));
    this.#entries.set(key, { ...base, ...(service === undefined ? {} : { service }) });
  }

  #readOne(value: unknown): ReadOne {
    const read = this.#fresh.get(value) ?? this.#readAnew(value);
    this.#fresh.set(value, read);
    return read;
  }

  #readAnew(value: unknown): ReadOne {
    const live = new LiveObject("Service", value);
    return { live, service: readService(live.object, { allowExternalIPs: this.#allowExternalIPs }) };
  }

  /** The same with the endpoints that there are now. */
  #serve(key: ServiceKey, surroundings: ServiceSurroundings): void {
    const entry = this.#entries.get(key);
    if (entry?.service === undefined) return;
    const { service } = entry;
    const joined = joinedWith(key, surroundings);
    this.#entries.set(key, { ...entry, service: withEndpoints(service, joined) });
  }
}

function isNotable({ refused, warnings, refusedIPs, outsideIPs }: Entry): boolean {
  return refused !== undefined || warnings.length + refusedIPs.length + outsideIPs.length > 0;
}

interface ReadOne {
  readonly live: LiveObject;
  readonly service: KubernetesService;
}

function withoutService({ service: _, ...entry }: Entry): Omit<Entry, "service"> {
  return entry;
}

function refusalOf(live: LiveObject, { isKept }: { readonly isKept: boolean }): RefusedObject | undefined {
  const [first, ...others] = live.errors;
  return first === undefined ? undefined : { entry: live.name, isKept, faults: [first, ...others] };
}

/** What `checkFrontends` tells rivals by. */
function claimsOf({ vips, ports, settings: { healthCheckNodePort } }: KubernetesService): readonly string[] {
  return [
    ...vips.flatMap(({ address }) => ports.map(({ port, protocol }) => `${address} ${port}/${protocol}`)),
    ...ports.flatMap(({ nodePort, protocol }) => (nodePort === undefined ? [] : [`node ${nodePort}/${protocol}`])),
    ...(healthCheckNodePort === undefined ? [] : [`node ${healthCheckNodePort}/tcp`]),
  ];
}

function compareAges(a: KubernetesService, b: KubernetesService): number {
  const [first, second] = [ageOf(a), ageOf(b)];
  return first < second ? -1 : first > second ? 1 : 0;
}

/** Sorts by the time of creation, which is written so that texts compare as times do, then by name. */
function ageOf({ object: { field, namespace, name } }: KubernetesService): string {
  return `${field.at("metadata", "creationTimestamp").text() ?? ""} ${namespace}/${name}`;
}

interface Joined {
  readonly endpoints: readonly PortEndpoints[];
  readonly hostNames: ReadonlySet<string>;
}

function joinedWith(key: ServiceKey, { endpointsOf, nodes }: ServiceSurroundings): Joined {
  return { endpoints: endpointsOf(key), hostNames: new Set(nodes.map(({ host }) => host.name)) };
}

function withEndpoints(service: Service, joined: Joined): Service {
  return { ...service, ports: service.ports.map((port) => ({ ...port, endpoints: endpointsOfPort(port, joined) })) };
}
