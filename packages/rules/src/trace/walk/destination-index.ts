import { addressWidth, familyOf, type IpAddress } from "@svcproxy/topology";
import { type AnyRule, isNftRule } from "../../hooks/any-rule.ts";

/** Chains below this are walked as quickly without. */
const LEAST_RULES = 32;

/**
 * Which rules of a long chain may take a packet, by its destination: a service proxy's chain has a rule for each address, and all but a
 * few of ten thousand rules ask for another one. Such a rule does not hold for sure, whatever else it asks, and changes nothing: the
 * kernel asks for addresses before any extension.
 */
export class DestinationIndex {
  /** Ascending indexes of those that ask for no single address. */
  readonly #others: number[] = [];
  readonly #byAddress = new Map<IpAddress, number[]>();
  readonly #length: number;

  private constructor(rules: readonly AnyRule[]) {
    this.#length = rules.length;
    for (const [index, rule] of rules.entries()) {
      const address = onlyDestination(rule);
      const known = address === undefined ? this.#others : this.#byAddress.get(address);
      if (known !== undefined) known.push(index);
      else if (address !== undefined) this.#byAddress.set(address, [index]);
    }
  }

  /** Built once for the rules of a chain; undefined where they are few. */
  static of(rules: readonly AnyRule[]): DestinationIndex | undefined {
    if (rules.length < LEAST_RULES) return undefined;
    const known = indexes.get(rules);
    if (known !== undefined) return known;
    const index = new DestinationIndex(rules);
    indexes.set(rules, index);
    return index;
  }

  /** @returns the first index from `from` on of a rule that a packet to the address has to be asked about; the number of rules: none */
  next(from: number, destination: IpAddress): number {
    return Math.min(
      firstFrom(this.#others, from) ?? this.#length,
      firstFrom(this.#byAddress.get(destination) ?? [], from) ?? this.#length,
    );
  }
}

const indexes = new WeakMap<readonly AnyRule[], DestinationIndex>();

function onlyDestination(rule: AnyRule): IpAddress | undefined {
  if (isNftRule(rule)) return undefined;
  for (const match of rule.matches) {
    if (match.kind !== "destination" || match.negated) continue;
    const { address, prefixLength } = match.cidr;
    if (prefixLength === addressWidth(familyOf(address))) return address;
  }
  return undefined;
}

/** The first of ascending numbers that is not below `from`. */
function firstFrom(numbers: readonly number[], from: number): number | undefined {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((numbers[middle] ?? 0) < from) low = middle + 1;
    else high = middle;
  }
  return numbers[low];
}
