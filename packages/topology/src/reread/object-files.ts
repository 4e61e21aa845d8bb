import { InputError } from "../errors.ts";
import { keptList } from "../kept-list.ts";
import type { KubernetesOptions } from "../kubernetes/parse-kubernetes.ts";
import type { Service, Topology } from "../model.ts";
import { readInput } from "../read-input.ts";
import { isMapping, type SourceDocument } from "../text/source-document.ts";
import { entriesOf } from "./input-entry.ts";
import type { LoadedFile, ReadState } from "./read-state.ts";

/** `namespace/name` of a Service. */
type ServiceKey = string;

/** What one file has to do with. */
interface FileFacts {
  readonly loaded: LoadedFile["loaded"];
  /** Services that are in it, or that an EndpointSlice or Endpoints object in it belongs to. */
  readonly about: readonly ServiceKey[];
  /** The Services in it, in its order. */
  readonly services: readonly ServiceKey[];
  /** `alone`: it has nothing else; `node`: only Nodes; `refused`: a part of it is; `other`: something on which any Service may hang. */
  readonly kind: "alone" | "node" | "refused" | "other";
}

/** So many files are read together at most; beyond that it is as quick to read all. */
const MOST_FILES = 200;

/** What counts over all objects, so that a part of them cannot tell. */
const OVER_ALL: ReadonlySet<string> = new Set(["EXTERNAL_IP_REFUSED", "NO_ENDPOINTS_GIVEN", "DUPLICATE_FRONTEND"]);

interface ReadAll {
  readonly state: ReadState;
  readonly options: KubernetesOptions;
  readonly documents: readonly SourceDocument[];
}

/**
 * Files of Kubernetes objects of which most are about one Service: where some of them change, their Services are read anew, with the Nodes
 * and with whatever other files say of the same Services. Where that could not tell the same as to read everything, it says so.
 */
export class ObjectFiles {
  readonly #options: KubernetesOptions;
  /** As they were last. */
  #files: readonly LoadedFile[];
  readonly #facts: Map<string, FileFacts>;
  /** Where each of them stands, and which of them are of Nodes; found out when they are needed. */
  #placesOfFiles: ReadonlyMap<string, number> | undefined;
  #nodeFiles: ReadonlySet<string> | undefined;
  /** The last good state of files of which a part is refused. */
  readonly #kept: ReadonlyMap<string, readonly SourceDocument[]>;
  readonly #filesAbout = new Map<ServiceKey, readonly string[]>();
  readonly #claims = new Map<string, ServiceKey>();
  readonly #services: Map<ServiceKey, Service>;
  #places: ReadonlyMap<ServiceKey, number> = new Map();
  #state: ReadState;

  /** @returns undefined where the files are of another kind */
  static of(files: readonly LoadedFile[], all: ReadAll): ObjectFiles | undefined {
    const { warnings, refused } = all.state;
    const withRefused = new Set(refused.flatMap(({ faults }) => faults.map(({ at }) => at?.file)));
    const facts = new Map(
      files.map(({ file, loaded }) => {
        const ofFile = factsOf(loaded);
        return [file, withRefused.has(file) ? { ...ofFile, kind: "refused" as const } : ofFile];
      }),
    );
    const isPlain = [...facts.values()].every(({ kind }) => kind !== "other");
    const isSplit = files.length > 1 && facts.size === files.length;
    return isSplit && isPlain && !warnings.some(({ code }) => OVER_ALL.has(code))
      ? new ObjectFiles(files, { facts, ...all })
      : undefined;
  }

  private constructor(
    files: readonly LoadedFile[],
    { facts, state, options, documents }: ReadAll & { readonly facts: Map<string, FileFacts> },
  ) {
    this.#files = files;
    this.#facts = facts;
    this.#kept = Map.groupBy(
      documents.filter(({ source }) => facts.get(source.file)?.kind === "refused"),
      ({ source }) => source.file,
    );
    this.#options = options;
    this.#state = { ...state, topology: withoutPods(state.topology) };
    this.#services = new Map(state.topology.services.map((service) => [keyOf(service), service]));
    for (const service of state.topology.services) this.#claim(service);
    for (const [file, { about }] of facts) for (const key of about) this.#link(key, file);
    this.#number();
  }

  get state(): ReadState {
    return this.#state;
  }

  /** What was read last, file by file. */
  documents(): readonly SourceDocument[] {
    return [...this.#facts].flatMap(([file, { loaded, kind }]) =>
      kind === "refused" ? (this.#kept.get(file) ?? []) : loaded.documents,
    );
  }

  /** @returns undefined where everything has to be read */
  reread(files: readonly LoadedFile[], options: KubernetesOptions): ReadState | undefined {
    if (options.configuration !== this.#options.configuration) return undefined;
    const changed = this.#changedFiles(files);
    if (changed === undefined) return undefined;
    if (changed.size === 0) {
      this.#files = files;
      return this.#state;
    }
    const keys = new Set<ServiceKey>();
    for (const [file, facts] of changed) {
      for (const key of this.#facts.get(file)?.about ?? []) keys.add(key);
      for (const key of facts?.about ?? []) keys.add(key);
    }
    const before = new Map([...changed.keys()].map((file) => [file, this.#facts.get(file)]));
    this.#become(changed);
    const state = this.#readServices(keys, files);
    if (state === undefined) {
      this.#become(before);
      return undefined;
    }
    this.#files = files;
    this.#state = state;
    return state;
  }

  /** @returns undefined where all hangs on one of them */
  #changedFiles(files: readonly LoadedFile[]): ReadonlyMap<string, FileFacts | undefined> | undefined {
    const changed = new Map<string, FileFacts | undefined>();
    let known = 0;
    // A plain loop: most of thousands are the very same in their place, and this is gone through with each change.
    for (let place = 0; place < files.length; place++) {
      const now = files[place];
      if (now === undefined || now === this.#files[place]) {
        known++;
        continue;
      }
      const { file, loaded } = now;
      if (this.#files[place]?.file !== file) this.#placesOfFiles = undefined;
      const before = this.#facts.get(file);
      if (before !== undefined) known++;
      if (before?.loaded === loaded) continue;
      const facts = factsOf(loaded);
      if (facts.kind !== "alone" || (before !== undefined && before.kind !== "alone")) return undefined;
      changed.set(file, facts);
      if (changed.size > MOST_FILES) return undefined;
    }
    if (known === this.#facts.size) return changed;
    this.#placesOfFiles = undefined;
    const names = new Set(files.map(({ file }) => file));
    for (const [file, { kind }] of this.#facts) {
      if (names.has(file)) continue;
      if (kind !== "alone") return undefined;
      changed.set(file, undefined);
    }
    return changed.size > MOST_FILES ? undefined : changed;
  }

  #become(facts: ReadonlyMap<string, FileFacts | undefined>): void {
    for (const [file, now] of facts) {
      for (const key of this.#facts.get(file)?.about ?? []) this.#unlink(key, file);
      if (now === undefined) this.#facts.delete(file);
      else this.#facts.set(file, now);
      for (const key of now?.about ?? []) this.#link(key, file);
    }
  }

  #link(key: ServiceKey, file: string): void {
    const files = this.#filesAbout.get(key) ?? [];
    if (!files.includes(file)) this.#filesAbout.set(key, keptList([...files, file]));
  }

  #unlink(key: ServiceKey, file: string): void {
    const files = this.#filesAbout.get(key)?.filter((other) => other !== file) ?? [];
    if (files.length === 0) this.#filesAbout.delete(key);
    else this.#filesAbout.set(key, files);
  }

  #readServices(keys: ReadonlySet<ServiceKey>, files: readonly LoadedFile[]): ReadState | undefined {
    const together = this.#joined(keys);
    if (together === undefined) return undefined;
    const isRead = (file: string) => together.files.has(file) || this.#facts.get(file)?.kind === "node";
    const documents = this.#inTheirOrder(together.files, files).flatMap(({ loaded }) => loaded.documents);
    const read = readOrFail(documents, this.#options);
    if (read === undefined || read.warnings.some(({ code }) => OVER_ALL.has(code))) return undefined;
    const now = new Map(read.topology.services.map((service) => [keyOf(service), service]));
    for (const service of now.values()) if (this.#isClaimed(service, together.keys)) return undefined;
    for (const key of together.keys) this.#replace(key, now.get(key));
    const services = this.#inOrder(together.keys, files);
    const warnings = this.#state.warnings.filter(({ at }) => at?.file === undefined || !isRead(at.file));
    return {
      ...this.#state,
      topology: { ...this.#state.topology, services },
      warnings: [...warnings, ...read.warnings],
    };
  }

  /** Some files, and those of Nodes. */
  #inTheirOrder(names: ReadonlySet<string>, files: readonly LoadedFile[]): readonly LoadedFile[] {
    this.#nodeFiles ??= new Set([...this.#facts].flatMap(([file, { kind }]) => (kind === "node" ? [file] : [])));
    this.#placesOfFiles ??= new Map(files.map(({ file }, place) => [file, place]));
    const places = this.#placesOfFiles;
    return [...this.#nodeFiles, ...names]
      .flatMap((name) => places.get(name) ?? [])
      .sort((a, b) => a - b)
      .flatMap((place) => files[place] ?? []);
  }

  /** All files that say something of these Services, and what those files say something of. */
  #joined(keys: ReadonlySet<ServiceKey>) {
    const files = new Set<string>();
    const all = new Set(keys);
    for (const key of all) {
      for (const file of this.#filesAbout.get(key) ?? []) {
        if (files.has(file)) continue;
        files.add(file);
        if (files.size > MOST_FILES || this.#facts.get(file)?.kind !== "alone") return undefined;
        // Those that are added while it runs come up as well.
        for (const other of this.#facts.get(file)?.about ?? []) all.add(other);
      }
    }
    return { files, keys: all };
  }

  /** Whether another Service has something of it. */
  #isClaimed(service: Service, own: ReadonlySet<ServiceKey>): boolean {
    return claimsOf(service).some((claim) => {
      const holder = this.#claims.get(claim);
      return holder !== undefined && !own.has(holder);
    });
  }

  #replace(key: ServiceKey, now: Service | undefined): void {
    const before = this.#services.get(key);
    if (before !== undefined) for (const claim of claimsOf(before)) this.#claims.delete(claim);
    if (now === undefined) this.#services.delete(key);
    else this.#services.set(key, now);
    if (now !== undefined) this.#claim(now);
  }

  #claim(service: Service): void {
    for (const claim of claimsOf(service)) this.#claims.set(claim, keyOf(service));
  }

  /** As the objects come in the files. */
  #inOrder(changed: ReadonlySet<ServiceKey>, files: readonly LoadedFile[]): readonly Service[] {
    const before = this.#state.topology.services;
    const isInPlace = [...changed].every((key) => this.#services.has(key) === this.#places.has(key));
    if (isInPlace) {
      const services = [...before];
      for (const key of changed) {
        const [service, place] = [this.#services.get(key), this.#places.get(key)];
        if (service !== undefined && place !== undefined) services[place] = service;
      }
      return services;
    }
    const keys = new Set(files.flatMap(({ file }) => this.#facts.get(file)?.services ?? []));
    const services = [...keys].flatMap((key) => this.#services.get(key) ?? []);
    this.#places = new Map(services.map((service, place) => [keyOf(service), place]));
    return services;
  }

  #number(): void {
    this.#places = new Map(this.#state.topology.services.map((service, place) => [keyOf(service), place]));
  }
}

function factsOf(loaded: LoadedFile["loaded"]): FileFacts {
  const about = new Set<ServiceKey>();
  const services: ServiceKey[] = [];
  let [hasNodes, hasOthers] = [false, false];
  for (const { kind, name, value } of loaded.documents.flatMap(entriesOf)) {
    const owner = kind === "EndpointSlice" ? ownerOfSlice(value) : name?.slice(kind.length + 1);
    if (kind === "Node") hasNodes = true;
    else if (!(kind === "Service" || kind === "EndpointSlice" || kind === "Endpoints") || owner === undefined) {
      hasOthers = true;
    } else {
      about.add(owner);
      if (kind === "Service") services.push(owner);
    }
  }
  const isMixed = hasOthers || (hasNodes && about.size > 0) || loaded.faults.length > 0;
  return {
    loaded,
    about: keptList([...about]),
    services: keptList(services),
    kind: isMixed ? "other" : hasNodes ? "node" : "alone",
  };
}

function ownerOfSlice(value: unknown): ServiceKey | undefined {
  const metadata = memberOf(value, "metadata");
  const [name, namespace] = [
    memberOf(memberOf(metadata, "labels"), "kubernetes.io/service-name"),
    memberOf(metadata, "namespace") ?? "default",
  ];
  return typeof name === "string" && typeof namespace === "string" && name !== "" && namespace !== ""
    ? `${namespace}/${name}`
    : undefined;
}

function memberOf(value: unknown, key: string): unknown {
  return isMapping(value) ? value[key] : undefined;
}

function readOrFail(
  documents: readonly SourceDocument[],
  options: KubernetesOptions,
): ReturnType<typeof readInput> | undefined {
  try {
    return readInput({ documents, faults: [] }, options);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

/** What no two Services may have. */
function claimsOf({
  clusterIPs,
  externalIPs,
  loadBalancerIPs,
  ports,
  healthCheckNodePort,
}: Service): readonly string[] {
  const addresses = [...clusterIPs, ...externalIPs, ...loadBalancerIPs];
  return [
    ...ports.flatMap(({ port, protocol }) => addresses.map((address) => `${address} ${port}/${protocol}`)),
    ...ports.flatMap(({ nodePort, protocol }) => (nodePort === undefined ? [] : [`node ${nodePort}/${protocol}`])),
    ...(healthCheckNodePort === undefined ? [] : [`node ${healthCheckNodePort}/tcp`]),
  ];
}

function keyOf({ namespace, name }: Service): ServiceKey {
  return `${namespace}/${name}`;
}

/** Endpoints say where they are; which pods they make up on a host would have to be gathered from all of them. */
function withoutPods(topology: Topology): Topology {
  return { ...topology, hosts: topology.hosts.map((host) => ({ ...host, pods: [] })) };
}
