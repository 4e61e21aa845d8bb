import type { RestoreCommand } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";

/** The rules of one family as the commands that build them on a host that has none of them, in order. */
export interface Script {
  readonly family: Family;
  readonly sections: readonly Section[];
}

/** Commands that belong together. */
export interface Section {
  /** A few words for people, as they are: what prints them makes a name from a user's file harmless. */
  readonly title: string;
  /** Those of one table; there may be none. */
  readonly commands: Iterable<RestoreCommand>;
}
