import { entryOf } from "../table/entry-of.ts";
import type { Collection } from "../table/nft-table.ts";

/**
 * What no packet is led to any more. It is removed one transaction later than the change that made it so, because a packet may be
 * between two look-ups when that change is committed: deleting at once lost some first packets, deleting later none.
 */
export class Leftover {
  readonly elements = new Map<string, Set<string>>();
  readonly chains = new Set<string>();
  readonly collections = new Map<string, Collection["kind"]>();

  /** @param other what it begins as */
  constructor(other?: Leftover) {
    if (other !== undefined) this.take(other);
  }

  get isEmpty(): boolean {
    return this.elements.size + this.chains.size + this.collections.size === 0;
  }

  addElement(collection: string, key: string): void {
    entryOf(this.elements, collection, () => new Set<string>()).add(key);
  }

  /** Takes over what another holds. */
  take(other: Leftover): void {
    for (const [collection, keys] of other.elements) for (const key of keys) this.addElement(collection, key);
    for (const name of other.chains) this.chains.add(name);
    for (const [name, kind] of other.collections) this.collections.set(name, kind);
  }

  /** Something leads to it again. */
  keepElement(collection: string, key: string): void {
    const keys = this.elements.get(collection);
    if (keys?.delete(key) === true && keys.size === 0) this.elements.delete(collection);
  }
}
