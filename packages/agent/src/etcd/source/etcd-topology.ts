import {
  type CurrentEntry,
  type EntriesRead,
  EntryTopology,
  type Fault,
  InputError,
  type InputProblem,
  type LayerMemory,
  type LoadedEntry,
  layerEndpoints,
  loadEntry,
  type ParsedProxyConfiguration,
  problemOf,
  type RegisteredEndpoint,
  readRegisteredEndpoint,
  type Topology,
} from "@svcproxy/topology";
import { shareUnchanged } from "../../share-unchanged.ts";
import type { RefusedEntry } from "../../source.ts";
import type { EtcdEntry } from "../client/etcd-store.ts";
import type { EffectiveEntries, EffectiveEntry } from "./effective-entries.ts";
import { readFlannelHosts } from "./flannel-hosts.ts";
import { mergeHosts } from "./merge-hosts.ts";

/** What is stored, as far as it counts now. Where `effective.entries` is the map of before, nothing in it is otherwise. */
export interface EtcdState {
  readonly effective: EffectiveEntries;
  /** What registered itself, those among it that are kept although they are gone. */
  readonly endpoints: readonly RegisteredEndpoint[];
  /** Below flannel's `subnets/`. */
  readonly flannel: readonly EtcdEntry[];
}

export interface EtcdTopologyRead {
  readonly topology: Topology;
  readonly refused: readonly RefusedOfEtcd[];
  readonly warnings: readonly InputProblem[];
}

/** A refused entry; its problems are faults to whoever has no earlier state of it. */
export interface RefusedOfEtcd extends RefusedEntry {
  readonly problems: readonly [InputProblem, ...InputProblem[]];
}

/** Makes a topology of what etcd holds, again and again; what has stayed is read once. */
export class EtcdTopology {
  readonly #prefix: string;
  readonly #configuration: ParsedProxyConfiguration | undefined;
  readonly #entries = new EntryTopology();
  readonly #loaded = new WeakMap<EtcdEntry, CurrentEntry>();
  readonly #registered = new WeakMap<EtcdEntry, EndpointRead>();
  readonly #lastEndpoint = new Map<string, RegisteredEndpoint>();
  readonly #refusedSince = new Map<string, Date>();
  #base:
    | (Pick<EtcdState, "flannel"> &
        Pick<EffectiveEntries, "entries"> & {
          readonly read: EntriesRead;
          readonly problems: readonly InputProblem[];
        })
    | undefined;
  #memory: LayerMemory | undefined;
  #hosts: ReadonlyMap<string, LoadedEntry> = new Map();

  constructor({
    prefix,
    configuration,
  }: {
    readonly prefix: string;
    readonly configuration?: ParsedProxyConfiguration | undefined;
  }) {
    this.#prefix = prefix;
    this.#configuration = configuration;
  }

  read({ effective, endpoints, flannel }: EtcdState): EtcdTopologyRead {
    const base = this.#readBase(effective, flannel);
    const layered = layerEndpoints(base.read, {
      ...{ endpoints, drains: effective.drains },
      ...(this.#memory === undefined ? {} : { previous: this.#memory }),
    });
    this.#memory = layered.memory;
    return {
      topology: layered.topology,
      refused: this.#refusals(base.read, effective),
      warnings: [
        ...base.read.warnings.map(problemOf),
        ...base.problems,
        ...layered.problems,
        ...strayProblems(effective),
      ],
    };
  }

  /** What registered itself, each in its last state without a fault. */
  registered({ endpoints }: EffectiveEntries): ReadonlyMap<string, RegisteredEndpoint> {
    const found = new Map<string, RegisteredEndpoint>();
    for (const [path, entry] of endpoints) {
      const read = this.#readEndpoint(entry);
      if (read.endpoint !== undefined) this.#lastEndpoint.set(path, read.endpoint);
      const endpoint = this.#lastEndpoint.get(path);
      if (endpoint !== undefined) found.set(path, endpoint);
    }
    for (const path of this.#lastEndpoint.keys()) if (!endpoints.has(path)) this.#lastEndpoint.delete(path);
    return found;
  }

  /** One registration; undefined where it cannot be read. */
  registrationOf(entry: EffectiveEntry): RegisteredEndpoint | undefined {
    return this.#readEndpoint(entry).endpoint;
  }

  #readBase(effective: EffectiveEntries, flannel: readonly EtcdEntry[]) {
    const before = this.#base;
    if (before !== undefined && before.entries === effective.entries && isSame(before.flannel, flannel)) return before;
    const own: LoadedEntry[] = [];
    const others: CurrentEntry[] = [];
    for (const entry of effective.entries.values()) {
      const current = this.#load(entry);
      if ("faults" in current || current.key.kind !== "host") others.push(current);
      else own.push(current);
    }
    const { hosts: leases, unread } = readFlannelHosts(flannel);
    const { entries: hosts, problems } = mergeHosts(own, leases);
    const read = this.#entries.read([...this.#sameHosts(hosts), ...others], {
      ...(effective.order === undefined ? {} : { order: effective.order }),
      ...(this.#configuration === undefined ? {} : { configuration: this.#configuration }),
    });
    const { topology } = shareUnchanged(read.topology, this.#base?.read.topology);
    this.#base = {
      entries: effective.entries,
      flannel,
      read: { ...read, topology },
      problems: [...problems, ...unread.map(unreadLease)],
    };
    return this.#base;
  }

  /** Entries of hosts that flannel adds to are made anew each time: one that says the same is the one of before. */
  #sameHosts(entries: readonly LoadedEntry[]): readonly LoadedEntry[] {
    const before = this.#hosts;
    this.#hosts = new Map(
      entries.map((entry) => {
        const key = `${entry.document.source.file} ${JSON.stringify(entry.value)}`;
        return [key, before.get(key) ?? entry];
      }),
    );
    return [...this.#hosts.values()];
  }

  #load({ key, stored }: EffectiveEntry): CurrentEntry {
    const known = this.#loaded.get(stored);
    if (known !== undefined) return known;
    let entry: CurrentEntry;
    try {
      entry = loadEntry({ key, label: labelOf(stored), bytes: stored.value });
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      entry = { key, faults: error.faults };
    }
    this.#loaded.set(stored, entry);
    return entry;
  }

  #readEndpoint({ key, stored }: EffectiveEntry): EndpointRead {
    const known = this.#registered.get(stored);
    if (known !== undefined) return known;
    let read: EndpointRead;
    try {
      const { endpoint } = readRegisteredEndpoint(loadEntry({ key, label: labelOf(stored), bytes: stored.value }));
      read = { endpoint };
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      read = { endpoint: undefined, faults: error.faults };
    }
    this.#registered.set(stored, read);
    return read;
  }

  #refusals({ refused }: EntriesRead, { endpoints }: EffectiveEntries): readonly RefusedOfEtcd[] {
    const all: Omit<RefusedOfEtcd, "since">[] = refused.map(({ key, faults, outcome }) => ({
      entry: this.#nameOf(key),
      isKept: outcome === "kept",
      problems: problemsOf(faults, this.#nameOf(key)),
    }));
    for (const [path, entry] of endpoints) {
      const { faults } = this.#readEndpoint(entry);
      if (faults === undefined) continue;
      const isKept = this.#lastEndpoint.has(path);
      all.push({ entry: this.#nameOf(path), isKept, problems: problemsOf(faults, this.#nameOf(path)) });
    }
    const names = new Set(all.map(({ entry }) => entry));
    for (const name of this.#refusedSince.keys()) if (!names.has(name)) this.#refusedSince.delete(name);
    return all.map((entry) => {
      const since = this.#refusedSince.get(entry.entry) ?? new Date();
      this.#refusedSince.set(entry.entry, since);
      return { ...entry, since };
    });
  }

  #nameOf(path: string): string {
    return `etcd ${this.#prefix}/${path}`;
  }
}

function isSame(before: readonly EtcdEntry[], now: readonly EtcdEntry[]): boolean {
  return before.length === now.length && before.every((entry, index) => entry === now[index]);
}

type EndpointRead =
  | { readonly endpoint: RegisteredEndpoint; readonly faults?: undefined }
  | { readonly endpoint: undefined; readonly faults: readonly Fault[] };

/** How a place in a value begins: what `:line:column` follows. */
function labelOf({ key, modRevision }: EtcdEntry): string {
  return `${key} (revision ${modRevision})`;
}

function problemsOf(faults: readonly Fault[], subject: string): readonly [InputProblem, ...InputProblem[]] {
  const [first, ...others] = faults.map((fault): InputProblem => ({ ...problemOf(fault), subject }));
  if (first === undefined) throw new TypeError("an entry is refused for a reason");
  return [first, ...others];
}

function unreadLease({ key, modRevision }: EtcdEntry): InputProblem {
  return {
    code: "FLANNEL_LEASE",
    severity: "warning",
    subject: `etcd ${key}`,
    text: `${key} (revision ${modRevision}) is no lease of flannel that can be read`,
  };
}

/** So many are named. */
const NAMED = 5;

function strayProblems({ strays, isStaged }: EffectiveEntries): readonly InputProblem[] {
  const problems: InputProblem[] = [];
  if (strays.length > 0) {
    problems.push({
      code: "UNKNOWN_ENTRY",
      severity: "warning",
      subject: "etcd",
      text: `${strays.length} keys mean nothing: ${strays
        .slice(0, NAMED)
        .map((key) => JSON.stringify(key))
        .join(", ")}`,
      hint: "Keys are hosts/NAME, services/NAMESPACE/NAME, settings and endpoints/NAMESPACE/SERVICE/ID",
    });
  }
  if (isStaged) {
    problems.push({
      code: "PUT_UNFINISHED",
      severity: "warning",
      subject: "etcd",
      text: "An `svcproxy etcd put` is under way, or was cut off after its entries came into force: they count, whatever is written to their keys meanwhile",
      hint: "Where none runs, run it again: it ends what the last one began",
    });
  }
  return problems;
}
