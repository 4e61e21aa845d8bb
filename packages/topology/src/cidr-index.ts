import { addressBits, addressWidth, type Cidr, familyOf, type IpAddress } from "./address.ts";

interface Interval<Entry> {
  readonly from: bigint;
  readonly to: bigint;
  readonly entry: Entry;
}

/** Finds the block that an address lies in, among many; blocks that overlap are named. */
export class CidrIndex<
  Owner,
  Entry extends { readonly cidr: Cidr; readonly owner: Owner } = { cidr: Cidr; owner: Owner },
> {
  /** Each block that overlaps an earlier one (by address), with that one. */
  readonly overlaps: readonly (readonly [first: Entry, second: Entry])[];
  readonly #intervals: ReadonlyMap<4 | 6, readonly Interval<Entry>[]>;

  constructor(entries: readonly Entry[]) {
    const overlaps: [Entry, Entry][] = [];
    const families = new Map<4 | 6, readonly Interval<Entry>[]>();
    for (const family of [4, 6] as const) {
      const sorted = entries
        .filter(({ cidr }) => familyOf(cidr.address) === family)
        .map(toInterval)
        .sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0));
      const disjoint: Interval<Entry>[] = [];
      for (const interval of sorted) {
        const last = disjoint.at(-1);
        if (last === undefined || last.to < interval.from) disjoint.push(interval);
        else overlaps.push([last.entry, interval.entry]);
      }
      families.set(family, disjoint);
    }
    this.overlaps = overlaps;
    this.#intervals = families;
  }

  find(address: IpAddress): Entry | undefined {
    const intervals = this.#intervals.get(familyOf(address)) ?? [];
    const bits = addressBits(address);
    let low = 0;
    let high = intervals.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const interval = intervals[middle];
      if (interval === undefined || interval.from > bits) high = middle;
      else if (interval.to < bits) low = middle + 1;
      else return interval.entry;
    }
    return undefined;
  }
}

function toInterval<Entry extends { readonly cidr: Cidr }>(entry: Entry): Interval<Entry> {
  const { address, prefixLength } = entry.cidr;
  const from = addressBits(address);
  const size = 1n << BigInt(addressWidth(familyOf(address)) - prefixLength);
  return { from, to: from + size - 1n, entry };
}
