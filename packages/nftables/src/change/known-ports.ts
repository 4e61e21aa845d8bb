import type { WantedPort } from "../compile/wanted-port.ts";
import { entryOf } from "../table/entry-of.ts";
import type { Element } from "../table/nft-table.ts";
import { type NumberedPort, portElements } from "./number-port.ts";

/** A port of a service as the table holds it. */
export interface KnownPort {
  readonly wanted: WantedPort;
  readonly numbers: NumberedPort;
  readonly elements: readonly Element[];
}

/** The ports that the table holds, and how many of them want an element that several can. */
export class KnownPorts {
  readonly #byService = new Map<string, Map<string, KnownPort>>();
  readonly #owners = new Map<string, number>();

  add(wanted: WantedPort, numbers: NumberedPort): KnownPort {
    const known = { wanted, numbers, elements: portElements(wanted, numbers) };
    entryOf(this.#byService, wanted.service, () => new Map<string, KnownPort>()).set(wanted.id, known);
    for (const { collection, key } of known.elements) this.#count(collection, key, 1);
    return known;
  }

  /** @returns what was known of a service's ports, by id */
  removeService(service: string): ReadonlyMap<string, KnownPort> {
    const removed = this.#byService.get(service) ?? NONE;
    this.#byService.delete(service);
    for (const { elements } of removed.values()) {
      for (const { collection, key } of elements) this.#count(collection, key, -1);
    }
    return removed;
  }

  /** Whether some port wants an element with this key. */
  wants(collection: string, key: string): boolean {
    return this.#owners.has(ownerKey(collection, key));
  }

  *values(): Generator<KnownPort> {
    for (const ofService of this.#byService.values()) yield* ofService.values();
  }

  #count(collection: string, key: string, change: 1 | -1): void {
    const name = ownerKey(collection, key);
    const count = (this.#owners.get(name) ?? 0) + change;
    if (count === 0) this.#owners.delete(name);
    else this.#owners.set(name, count);
  }
}

const NONE: ReadonlyMap<string, KnownPort> = new Map();

function ownerKey(collection: string, key: string): string {
  return `${collection} ${key}`;
}
