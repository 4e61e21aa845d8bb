import { formatSocketAddress } from "../address.ts";
import type { Fault } from "../errors.ts";
import type { Service, Topology } from "../model.ts";
import { configureNode } from "../proxy-configuration/configure-node.ts";
import type { ParsedProxyConfiguration } from "../proxy-configuration/parse-proxy-configuration.ts";
import { type BuiltEntries, buildEntries, type EntryFault } from "./build-entries.ts";
import { formatEntryKey } from "./entry-key.ts";
import type { LoadedEntry } from "./load-entry.ts";

/** An entry as it is now: read, or with what is wrong with its text. */
export type CurrentEntry = LoadedEntry | UnreadableEntry;

export interface UnreadableEntry {
  readonly key: LoadedEntry["key"];
  readonly faults: readonly [Fault, ...Fault[]];
}

export interface EntriesRead {
  readonly topology: Topology;
  /** What each service was made of, by `services/NAMESPACE/NAME`. */
  readonly services: ReadonlyMap<string, LoadedEntry>;
  /** What is wrong with entries that are not in force as they are now. */
  readonly refused: readonly RefusedEntry[];
  readonly warnings: readonly Fault[];
}

export interface RefusedEntry {
  /** `services/default/web` */
  readonly key: string;
  readonly faults: readonly Fault[];
  /** `kept`: as it was last without a fault; `left out`: it never was. */
  readonly outcome: "kept" | "left out";
}

/** Names in the order in which the topology has them; the rest comes behind, by name. */
export interface EntryOrder {
  readonly hosts: readonly string[];
  /** `namespace/name` */
  readonly services: readonly string[];
}

export interface ReadEntriesOptions {
  readonly order?: EntryOrder;
  readonly configuration?: ParsedProxyConfiguration;
}

/** Each round reverts an entry at least; more than this many that trip over each other are not worth the time. */
const MAX_ROUNDS = 32;
/** So many changed hosts are tried one by one for which of them an old service cannot be read. */
const TRIED_ONE_BY_ONE = 16;

/**
 * A topology that comes entry by entry. One that is wrong, or does not go together with those that were there before, stays as it was
 * last without a fault, and keeps no other from its change.
 */
export class EntryTopology {
  #good = new Map<string, LoadedEntry>();
  #last: Topology | undefined;

  /** @param entries hosts, services and settings, all that there are now */
  read(entries: readonly CurrentEntry[], { order, configuration }: ReadEntriesOptions = {}): EntriesRead {
    const refused = new Map<string, Fault[]>();
    const refuse = (key: string, faults: readonly Fault[]) =>
      refused.set(key, [...(refused.get(key) ?? []), ...faults]);
    let chosen = new Map<string, LoadedEntry>();
    for (const entry of entries) {
      const key = formatEntryKey(entry.key);
      const good = this.#good.get(key);
      if (!("faults" in entry)) chosen.set(key, entry);
      else {
        refuse(key, entry.faults);
        if (good !== undefined) chosen.set(key, good);
      }
    }
    let built = this.#build(chosen);
    for (let round = 0; errorsOf(built).length > 0 && round < MAX_ROUNDS; round++) {
      chosen = this.#without(errorsOf(built), { chosen, refuse });
      built = this.#build(chosen);
    }
    if (errorsOf(built).length > 0) {
      // What is left is as it was, as far as it is still there.
      for (const { entry, fault } of errorsOf(built)) refuse(formatEntryKey(entry.key), [fault]);
      chosen = new Map([...chosen].flatMap(([key]) => this.#goodOf(key)));
      built = this.#build(chosen);
    }
    return this.#finish(built, { chosen, refused, order, configuration });
  }

  #goodOf(key: string): readonly (readonly [string, LoadedEntry])[] {
    const good = this.#good.get(key);
    return good === undefined ? [] : [[key, good]];
  }

  /** Those that are as before come first: whoever comes second is told that something is taken. */
  #build(chosen: ReadonlyMap<string, LoadedEntry>): BuiltEntries {
    const all = [...chosen];
    const isOld = ([key, entry]: (typeof all)[number]) => this.#good.get(key) === entry;
    return buildEntries([...all.filter(isOld), ...all.filter((one) => !isOld(one))].map(([, entry]) => entry));
  }

  /** What is chosen instead, so that those errors go. */
  #without(
    errors: readonly EntryFault[],
    { chosen, refuse }: { chosen: ReadonlyMap<string, LoadedEntry>; refuse: Refuse },
  ): Map<string, LoadedEntry> {
    const next = new Map(chosen);
    const byKey = Map.groupBy(errors, ({ entry }) => formatEntryKey(entry.key));
    const changed = [...byKey].filter(([key, [error]]) => this.#good.get(key) !== error?.entry);
    // A new entry that is wrong may be all that is wrong with an old one.
    for (const [key, faults] of changed.length > 0 ? changed : byKey) {
      const good = this.#good.get(key);
      const [error] = faults;
      if (error === undefined) continue;
      const found = faults.map(({ fault }) => fault);
      if (good !== error.entry) {
        refuse(key, found);
        if (good === undefined) next.delete(key);
        else next.set(key, good);
      } else if (!this.#revertCulprits(error, { next, refuse })) {
        refuse(key, found);
        const held = found.every(({ code }) => code === "UNKNOWN_ENDPOINT") ? this.#withAddresses(good) : undefined;
        if (held === undefined) next.delete(key);
        else next.set(key, held);
      }
    }
    return next;
  }

  /** Hosts or settings that came or changed, and with which an old entry cannot be read: they stay as they were. */
  #revertCulprits(
    { entry, fault }: EntryFault,
    { next, refuse }: { next: Map<string, LoadedEntry>; refuse: Refuse },
  ): boolean {
    if (fault.code === "UNKNOWN_ENDPOINT") return false;
    const suspects = [...next].filter(([key, one]) => one.key.kind !== "service" && this.#good.get(key) !== one);
    const revert = (map: Map<string, LoadedEntry>, key: string) => {
      const good = this.#good.get(key);
      if (good === undefined) map.delete(key);
      else map.set(key, good);
    };
    const isCulprit = (key: string) => {
      const tried = new Map(next);
      revert(tried, key);
      return !errorsOf(this.#build(tried)).some((error) => error.entry === entry && error.fault.code === fault.code);
    };
    const tried = suspects.length > TRIED_ONE_BY_ONE ? suspects : suspects.filter(([key]) => isCulprit(key));
    for (const [key] of tried) {
      revert(next, key);
      refuse(key, [{ ...fault, message: `With it ${formatEntryKey(entry.key)} cannot be read: ${fault.message}` }]);
    }
    return tried.length > 0;
  }

  /** A service whose pods are gone keeps their addresses. */
  #withAddresses(entry: LoadedEntry): LoadedEntry | undefined {
    const { key, value } = entry;
    if (key.kind !== "service" || this.#last === undefined) return undefined;
    const pods = new Map(this.#last.hosts.flatMap((host) => host.pods.map((pod) => [pod.name, pod])));
    const endpoints = Array.isArray(value["endpoints"]) ? value["endpoints"] : [];
    const addresses = endpoints.flatMap((endpoint: unknown) => {
      const pod = typeof endpoint === "string" ? pods.get(endpoint) : undefined;
      if (pod === undefined) return [endpoint];
      return pod.addresses.map(({ address, port }) =>
        port === undefined ? address : formatSocketAddress({ address, port }),
      );
    });
    return addresses.every((address, index) => address === endpoints[index])
      ? undefined
      : { ...entry, value: { ...value, endpoints: addresses } };
  }

  #finish(
    built: BuiltEntries,
    {
      chosen,
      refused,
      order,
      configuration,
    }: {
      readonly chosen: ReadonlyMap<string, LoadedEntry>;
      readonly refused: ReadonlyMap<string, readonly Fault[]>;
      readonly order: EntryOrder | undefined;
      readonly configuration: ParsedProxyConfiguration | undefined;
    },
  ): EntriesRead {
    const { node, warnings } = configureNode(built.settings, configuration);
    const topology: Topology = {
      source: "topology",
      hosts: sortBy(built.hosts, ({ name }) => name, order?.hosts),
      services: sortBy(built.services, serviceName, order?.services),
      node,
    };
    const keptBefore = this.#good;
    // What is kept although its pods are gone goes on being kept by what it was.
    this.#good = new Map(
      [...chosen].map(([key, entry]) => [
        key,
        this.#isHeld(key, entry, refused) ? (keptBefore.get(key) ?? entry) : entry,
      ]),
    );
    const last = this.#last;
    this.#last =
      last === undefined || refused.size === 0 ? topology : { ...topology, hosts: withOldPods(topology, last) };
    return {
      topology,
      services: new Map([...chosen].filter(([, { key }]) => key.kind === "service")),
      refused: [...refused].map(([key, faults]) => ({
        ...{ key, faults },
        outcome: chosen.has(key) ? "kept" : "left out",
      })),
      warnings: [...built.faults.map(({ fault }) => fault), ...warnings],
    };
  }

  #isHeld(key: string, entry: LoadedEntry, refused: ReadonlyMap<string, readonly Fault[]>): boolean {
    return refused.has(key) && this.#good.get(key)?.document === entry.document;
  }
}

type Refuse = (key: string, faults: readonly Fault[]) => void;

function errorsOf({ faults }: BuiltEntries): readonly EntryFault[] {
  return faults.filter(({ fault }) => fault.severity === "error");
}

/** Hosts that went stay known for the addresses of their pods, as long as a service is kept that names them. */
function withOldPods(topology: Topology, before: Topology): Topology["hosts"] {
  const now = new Set(topology.hosts.flatMap((host) => host.pods.map(({ name }) => name)));
  const gone = before.hosts.map((host) => ({ ...host, pods: host.pods.filter(({ name }) => !now.has(name)) }));
  return [...topology.hosts, ...gone.filter(({ pods }) => pods.length > 0)];
}

function serviceName({ namespace, name }: Service): string {
  return `${namespace}/${name}`;
}

function sortBy<Item>(items: readonly Item[], nameOf: (item: Item) => string, order: readonly string[] = []) {
  const places = new Map(order.map((name, index) => [name, index]));
  const placeOf = (item: Item) => places.get(nameOf(item)) ?? places.size;
  return items.toSorted(
    (a, b) => placeOf(a) - placeOf(b) || (nameOf(a) < nameOf(b) ? -1 : nameOf(a) > nameOf(b) ? 1 : 0),
  );
}
