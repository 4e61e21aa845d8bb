import { CHAIN_NAME_MAX_LENGTH } from "@svcproxy/rules";
import { hashName } from "./hash-name.ts";

/** Room behind a prefix like `KUBE-SVC-`. */
export const NAME_MAX_LENGTH = CHAIN_NAME_MAX_LENGTH - "KUBE-SVC-".length;
const HASH_LENGTH = 8;

/** Something that wants a name of its own. */
export interface NameWish {
  /** The readable name; may be empty, too long, or what others want too. */
  readonly wish: string;
  /** Tells it from all others, and stays the same whatever else changes. */
  readonly identity: string;
  /** Who wants a name most: where several want one, the only one of the lowest rank gets it. */
  readonly rank: number;
}

/**
 * A chain name's last part for each wish, all different, none longer than 19 characters. A wish that cannot be granted
 * gets a hash of its identity behind what is readable; that depends on no order, so a newcomer renames only whom it clashes with.
 *
 * @returns in the order of the wishes
 */
export function nameDistinctly(wishes: readonly NameWish[]): readonly string[] {
  const claims = new Map<string, { rank: number; count: number }>();
  for (const { wish, rank } of wishes) {
    const claim = claims.get(wish);
    if (claim === undefined || rank < claim.rank) claims.set(wish, { rank, count: 1 });
    else if (rank === claim.rank) claim.count++;
  }
  const isGranted = ({ wish, rank }: NameWish) => {
    const claim = claims.get(wish);
    return wish !== "" && wish.length <= NAME_MAX_LENGTH && claim?.rank === rank && claim.count === 1;
  };
  const taken = new Set<string>();
  for (const wish of wishes) if (isGranted(wish)) taken.add(wish.wish);
  return wishes.map((wish) => (isGranted(wish) ? wish.wish : hashedName(wish, taken)));
}

function hashedName({ wish, identity }: NameWish, taken: Set<string>): string {
  const readable = wish.slice(0, NAME_MAX_LENGTH - HASH_LENGTH - 1);
  for (let attempt = 0; ; attempt++) {
    const hash = hashName(attempt === 0 ? identity : `${identity} ${attempt}`, HASH_LENGTH).toLowerCase();
    const name = readable === "" ? hash : `${readable}-${hash}`;
    if (taken.has(name)) continue;
    taken.add(name);
    return name;
  }
}

/** What a chain name takes over of a name from a user's file. */
export function lettersAndDigits(text: string): string {
  return text.replace(/[^A-Za-z0-9]/g, "");
}
