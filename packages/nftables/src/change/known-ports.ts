import type { WantedPort } from "../compile/wanted-port.ts";
import { entryOf } from "../table/entry-of.ts";
import type { Element } from "../table/nft-table.ts";
import { type NumberedPort, portElements } from "./number-port.ts";

/** A port of a service as the table holds it. */
export interface KnownPort {
  readonly wanted: WantedPort;
  readonly numbers: NumberedPort;
}

/** Put together when they are needed: there are many of them, and each is in the table's mirror already. */
export function elementsOf({ wanted, numbers }: KnownPort): readonly Element[] {
  return portElements(wanted, numbers);
}

/** The ports that the table holds, and how many of them want an element that several can. */
export class KnownPorts {
  readonly #byService = new Map<string, KnownPort[]>();
  /** By collection and key; undefined until somebody asks, which who applies once never does. */
  #owners: Map<string, Map<string, number>> | undefined;

  add(wanted: WantedPort, numbers: NumberedPort): KnownPort {
    const known = { wanted, numbers };
    entryOf(this.#byService, wanted.service, (): KnownPort[] => []).push(known);
    if (this.#owners !== undefined) count(this.#owners, known, 1);
    return known;
  }

  /** @returns what was known of a service's ports */
  removeService(service: string): readonly KnownPort[] {
    const removed = this.#byService.get(service) ?? NONE;
    this.#byService.delete(service);
    if (this.#owners !== undefined) for (const known of removed) count(this.#owners, known, -1);
    return removed;
  }

  /** Whether some port wants an element with this key, of those that several can want. */
  shares(collection: string, key: string): boolean {
    this.#owners ??= this.#countAll();
    return this.#owners.get(collection)?.has(key) === true;
  }

  values(): readonly KnownPort[] {
    return [...this.#byService.values()].flat();
  }

  #countAll(): Map<string, Map<string, number>> {
    const owners = new Map<string, Map<string, number>>();
    for (const known of this.values()) count(owners, known, 1);
    return owners;
  }
}

const NONE: readonly KnownPort[] = [];

/** Their keys begin with the number of a group, which no two ports share. */
const OF_ONE_PORT = /^(?:local-)?groups$|slots$|endpoints-/;

function count(owners: Map<string, Map<string, number>>, known: KnownPort, change: 1 | -1): void {
  for (const { collection, key } of elementsOf(known)) {
    if (OF_ONE_PORT.test(collection)) continue;
    const ofCollection = entryOf(owners, collection, () => new Map<string, number>());
    const left = (ofCollection.get(key) ?? 0) + change;
    if (left === 0) ofCollection.delete(key);
    else ofCollection.set(key, left);
  }
}
