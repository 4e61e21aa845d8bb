import type { Cidr, Family, IpAddress } from "@svcproxy/topology";
import { addressBits, addressFromBits, addressWidth } from "@svcproxy/topology";
import type { IndexSet } from "./index-set.ts";
import { rangeSet } from "./index-set.ts";

/**
 * The addresses of a family, cut at every address that anything mentions: within one piece no rule, route or promise tells
 * two addresses apart. Sets of addresses are sets of the pieces' numbers, the same for IPv4 and IPv6.
 */
export interface AddressSpace {
  readonly family: Family;
  readonly everything: IndexSet;
  /** How many pieces there are. */
  readonly size: number;
  /** The piece that holds the address alone, or begins with it. @throws RangeError if the address was not mentioned */
  indexOf(address: IpAddress): number;
  setOf(cidr: Cidr): IndexSet;
  /** Both ends included. */
  setBetween(from: IpAddress, to: IpAddress): IndexSet;
  /** Whether a piece is one address. */
  isSingle(index: number): boolean;
  /** The first address of a piece. */
  addressAt(index: number): IpAddress;
}

/** Collects what is mentioned, then cuts. */
export class AddressSpaceBuilder {
  readonly #family: Family;
  readonly #end: bigint;
  readonly #cuts = new Set<bigint>([0n]);
  readonly #bits = new Map<string, bigint>();

  constructor(family: Family) {
    this.#family = family;
    this.#end = 1n << BigInt(addressWidth(family));
  }

  addAddress(address: IpAddress): void {
    this.addRange(address, address);
  }

  addRange(from: IpAddress, to: IpAddress): void {
    this.#cut(this.#bitsOf(from));
    this.#cut(this.#bitsOf(to) + 1n);
  }

  addCidr({ address, prefixLength }: Cidr): void {
    const bits = this.#bitsOf(address);
    this.#cut(bits);
    this.#cut(bits + (1n << BigInt(addressWidth(this.#family) - prefixLength)));
  }

  build(): AddressSpace {
    const family = this.#family;
    const cuts = [...this.#cuts].sort((a, b) => (a < b ? -1 : 1));
    const places = new Map(cuts.map((cut, place) => [cut, place]));
    const bitsOf = (address: IpAddress) => this.#bitsOf(address);
    const placeOf = (bits: bigint): number => {
      if (bits === this.#end) return cuts.length;
      const place = places.get(bits);
      if (place === undefined) throw new RangeError(`no cut at ${bits}`);
      return place;
    };
    return {
      family,
      everything: rangeSet(0, cuts.length),
      size: cuts.length,
      indexOf: (address) => placeOf(bitsOf(address)),
      setOf({ address, prefixLength }) {
        const bits = bitsOf(address);
        return rangeSet(placeOf(bits), placeOf(bits + (1n << BigInt(addressWidth(family) - prefixLength))));
      },
      setBetween: (from, to) => rangeSet(placeOf(bitsOf(from)), placeOf(bitsOf(to) + 1n)),
      isSingle: (index) => (cuts[index + 1] ?? this.#end) - (cuts[index] ?? 0n) === 1n,
      addressAt: (index) => addressFromBits(family, cuts[index] ?? 0n),
    };
  }

  #cut(bits: bigint): void {
    if (bits < this.#end) this.#cuts.add(bits);
  }

  /** Rules mention the same few texts again and again. */
  #bitsOf(address: IpAddress): bigint {
    let bits = this.#bits.get(address);
    if (bits === undefined) {
      bits = addressBits(address);
      this.#bits.set(address, bits);
    }
    return bits;
  }
}
