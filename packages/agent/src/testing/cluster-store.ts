/** An object as people write it into a cluster. */
export interface ClusterObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly resourceVersion?: string;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

/** A change of the store; objects are as they were after it, a deleted one as it was last. */
export interface StoreEvent {
  readonly version: number;
  readonly path: string;
  readonly before: ClusterObject | undefined;
  readonly after: ClusterObject | undefined;
}

/** What there is of objects, and where. */
export interface ServedKind {
  readonly kind: string;
  readonly apiVersion: string;
  readonly path: string;
}

const SERVED_KINDS: readonly ServedKind[] = [
  { kind: "Service", apiVersion: "v1", path: "/api/v1/services" },
  {
    kind: "EndpointSlice",
    apiVersion: "discovery.k8s.io/v1",
    path: "/apis/discovery.k8s.io/v1/endpointslices",
  },
  { kind: "Node", apiVersion: "v1", path: "/api/v1/nodes" },
  { kind: "ServiceCIDR", apiVersion: "networking.k8s.io/v1", path: "/apis/networking.k8s.io/v1/servicecidrs" },
];

const pathOf = (kind: string) => SERVED_KINDS.find((served) => served.kind === kind)?.path;

/** What is served at a path; undefined: nothing. */
export function servedKindAt(path: string): ServedKind | undefined {
  return SERVED_KINDS.find((served) => served.path === path);
}

/** The objects of a cluster with their versions, as etcd has them below an API server. */
export class ClusterStore {
  readonly #objects = new Map<string, Map<string, ClusterObject>>();
  readonly events: StoreEvent[] = [];
  version = 100;
  /** What is older than this is forgotten. */
  oldest = 100;
  readonly #listeners = new Set<(event: StoreEvent) => void>();

  put(object: ClusterObject): void {
    const path = pathOf(object.kind);
    if (path === undefined) throw new TypeError(`nobody follows ${object.kind}`);
    const key = keyOf(object);
    const before = this.#of(path).get(key);
    this.version += 1;
    const metadata = {
      creationTimestamp: new Date(Date.UTC(2026, 0, 1) + this.version * 1000).toISOString(),
      uid: key,
      ...before?.metadata,
      ...object.metadata,
      resourceVersion: String(this.version),
      managedFields: [{ manager: "test", operation: "Update" }],
    };
    const after = { ...object, metadata };
    this.#of(path).set(key, after);
    this.#tell({ version: this.version, path, before, after });
  }

  /** @param key `namespace/name`, or the name of what has no namespace */
  delete(kind: string, key: string): void {
    const path = pathOf(kind) ?? "";
    const before = this.#of(path).get(key);
    if (before === undefined) throw new TypeError(`there is no ${kind} ${key}`);
    this.version += 1;
    this.#of(path).delete(key);
    this.#tell({ version: this.version, path, before, after: undefined });
  }

  /** These are all that there are of the kind. */
  replace(kind: string, objects: readonly ClusterObject[]): void {
    const keys = new Set(objects.map(keyOf));
    for (const key of [...this.#of(pathOf(kind) ?? "").keys()]) if (!keys.has(key)) this.delete(kind, key);
    for (const object of objects) {
      const { metadata: _, ...before } = this.#of(pathOf(kind) ?? "").get(keyOf(object)) ?? { metadata: {} };
      const { metadata: __, ...after } = object;
      if (JSON.stringify(before) !== JSON.stringify(after)) this.put(object);
    }
  }

  list(path: string): readonly ClusterObject[] {
    return [...this.#of(path).values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  /** Forgets all events: a watch from before now is too old. */
  compact(): void {
    this.events.length = 0;
    this.oldest = this.version;
  }

  /** The store is as a backup had it: the same objects, at an older version. */
  restore(version: number): void {
    this.events.length = 0;
    this.version = version;
    this.oldest = version;
  }

  onEvent(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  #of(path: string): Map<string, ClusterObject> {
    const objects = this.#objects.get(path) ?? new Map();
    this.#objects.set(path, objects);
    return objects;
  }

  #tell(event: StoreEvent): void {
    this.events.push(event);
    for (const listener of this.#listeners) listener(event);
  }
}

function keyOf({ metadata: { name, namespace } }: ClusterObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}
