import type { TableAdditions } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";

/** The rules of one family as what is to be added on a host that has none of them, in order. */
export interface Script {
  readonly family: Family;
  readonly sections: readonly Section[];
}

/** Additions that belong together; there may be none in it. */
export interface Section extends TableAdditions {
  /** A few words for people, as they are: what prints them makes a name from a user's file harmless. */
  readonly title: string;
}

/** Items that are made when somebody walks through them, and anew for each who does: of a large cluster they are too many to keep. */
export function lazily<Item>(generate: () => Iterator<Item>): Iterable<Item> {
  return { [Symbol.iterator]: generate };
}
