import type { ChangeNotice } from "./change-notice.ts";
import type { Difference } from "./difference.ts";

/** What a machine had of ours when it was looked at, whoever put it there: kept true to that, and to no plan. */
export interface Preserved {
  /** How it is noticed that another program changes it. */
  readonly foreignChanges: ChangeNotice;
  /**
   * Gives the machine back what is not as it was, counters and what packets wrote aside.
   *
   * @returns what that was
   * @throws EnvironmentError
   */
  restore(options: { readonly signal: AbortSignal }): Promise<readonly Difference[]>;
  /** As a session's. Absent: it needs no such thing. @throws EnvironmentError */
  renewLease?(options: { readonly signal: AbortSignal }): Promise<void>;
}
