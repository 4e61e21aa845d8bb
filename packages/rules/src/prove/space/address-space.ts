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
  /** Whether an address begins a piece. */
  isMentioned(address: IpAddress): boolean;
  setOf(cidr: Cidr): IndexSet;
  /** Both ends included. */
  setBetween(from: IpAddress, to: IpAddress): IndexSet;
  /** Whether a piece is one address. */
  isSingle(index: number): boolean;
  /** The first address of a piece. */
  addressAt(index: number): IpAddress;
}

/** An address as a number that sorts: a plain one is enough for IPv4, and many times faster. */
type Bits = number | bigint;

/** Collects what is mentioned, then cuts. */
export class AddressSpaceBuilder {
  readonly #family: Family;
  readonly #end: Bits;
  readonly #cuts: Set<Bits>;
  readonly #bits = new Map<string, Bits>();

  constructor(family: Family) {
    this.#family = family;
    this.#end = this.#number(1n << BigInt(addressWidth(family)));
    this.#cuts = new Set([this.#number(0n)]);
  }

  get family(): Family {
    return this.#family;
  }

  addAddress(address: IpAddress): void {
    this.addRange(address, address);
  }

  addRange(from: IpAddress, to: IpAddress): void {
    this.#cut(this.#bitsOf(from));
    this.#cut(this.#after(this.#bitsOf(to), 1n));
  }

  addCidr({ address, prefixLength }: Cidr): void {
    const bits = this.#bitsOf(address);
    this.#cut(bits);
    this.#cut(this.#after(bits, this.#sizeOf(prefixLength)));
  }

  build(): AddressSpace {
    const family = this.#family;
    const cuts = [...this.#cuts].sort((a, b) => (a < b ? -1 : 1));
    const places = new Map(cuts.map((cut, place) => [cut, place]));
    const texts = new Map<number, IpAddress>();
    const placeOf = (bits: Bits): number => {
      if (bits === this.#end) return cuts.length;
      const place = places.get(bits);
      if (place === undefined) throw new RangeError(`no cut at ${bits}`);
      return place;
    };
    return {
      family,
      everything: rangeSet(0, cuts.length),
      size: cuts.length,
      indexOf: (address) => placeOf(this.#bitsOf(address)),
      isMentioned: (address) => places.has(this.#bitsOf(address)),
      setOf: ({ address, prefixLength }) => {
        const bits = this.#bitsOf(address);
        return rangeSet(placeOf(bits), placeOf(this.#after(bits, this.#sizeOf(prefixLength))));
      },
      setBetween: (from, to) => rangeSet(placeOf(this.#bitsOf(from)), placeOf(this.#after(this.#bitsOf(to), 1n))),
      isSingle: (index) => this.#after(cuts[index] ?? this.#end, 1n) === (cuts[index + 1] ?? this.#end),
      addressAt(index) {
        let text = texts.get(index);
        if (text === undefined) {
          text = addressFromBits(family, BigInt(cuts[index] ?? 0));
          texts.set(index, text);
        }
        return text;
      },
    };
  }

  #number(bits: bigint): Bits {
    return this.#family === 4 ? Number(bits) : bits;
  }

  #after(bits: Bits, size: bigint): Bits {
    return typeof bits === "number" ? bits + Number(size) : bits + size;
  }

  #sizeOf(prefixLength: number): bigint {
    return 1n << BigInt(addressWidth(this.#family) - prefixLength);
  }

  #cut(bits: Bits): void {
    if (bits < this.#end) this.#cuts.add(bits);
  }

  /** Rules mention the same few texts again and again. */
  #bitsOf(address: IpAddress): Bits {
    let bits = this.#bits.get(address);
    if (bits === undefined) {
      bits = this.#number(addressBits(address));
      this.#bits.set(address, bits);
    }
    return bits;
  }
}
