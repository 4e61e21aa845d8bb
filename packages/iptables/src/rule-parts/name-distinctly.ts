import { hashName } from "@svcproxy/host";
import { CHAIN_NAME_MAX_LENGTH } from "@svcproxy/rules";

/** Room behind a prefix like `KUBE-SVC-`. */
const NAME_MAX_LENGTH = CHAIN_NAME_MAX_LENGTH - "KUBE-SVC-".length;
const HASH_LENGTH = 8;
const NOBODY = -1;

export interface NamingOptions {
  /** Tells a wish from all others, and stays the same whatever else changes. */
  readonly identityOf: (index: number) => string;
  /** Whether a wish comes before those that are not first: where several want a name, the only one of the first gets it. */
  readonly isFirst?: (index: number) => boolean;
}

/**
 * A chain name's last part for each wish, all different, none longer than 19 characters. A wish that is empty, too long, or
 * what others want too gets a hash of its identity behind what is readable. That depends on no order, so a newcomer
 * renames only those whom it clashes with.
 *
 * @returns in the order of the wishes
 */
export function nameDistinctly(
  wishes: readonly string[],
  { identityOf, isFirst = () => false }: NamingOptions,
): readonly string[] {
  const holders = new Map<string, number>();
  const holdersAmongFirst = new Map<string, number>();
  wishes.forEach((wish, index) => {
    const claims = isFirst(index) ? holdersAmongFirst : holders;
    const { size } = claims;
    claims.set(wish, index);
    if (claims.size === size) claims.set(wish, NOBODY);
  });
  // Where no two want the same, which is the rule, there is nothing to look up.
  const isDisputed = holders.size + holdersAmongFirst.size < wishes.length || holdersAmongFirst.size > 0;
  const isGranted = (wish: string, index: number) =>
    wish !== "" &&
    wish.length <= NAME_MAX_LENGTH &&
    (!isDisputed || (holdersAmongFirst.get(wish) ?? holders.get(wish)) === index);
  let taken: Set<string> | undefined;
  return wishes.map((wish, index) => {
    if (isGranted(wish, index)) return wish;
    taken ??= new Set([...holders.keys(), ...holdersAmongFirst.keys()]);
    return hashedName(wish, { index, identityOf, taken });
  });
}

function hashedName(
  wish: string,
  { index, identityOf, taken }: { index: number; identityOf: (index: number) => string; taken: Set<string> },
): string {
  const readable = wish.slice(0, NAME_MAX_LENGTH - HASH_LENGTH - 1);
  for (let attempt = 0; ; attempt++) {
    const identity = attempt === 0 ? identityOf(index) : `${identityOf(index)} ${attempt}`;
    const hash = hashName(identity, HASH_LENGTH).toLowerCase();
    const name = readable === "" ? hash : `${readable}-${hash}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

/** What a chain name takes over of a name from a user's file. */
export function lettersAndDigits(text: string): string {
  return /^[A-Za-z0-9]*$/.test(text) ? text : text.replace(/[^A-Za-z0-9]/g, "");
}
