import type { RuleSet } from "@svcproxy/rules";
import { type EnvironmentCode, EnvironmentError, type Family, SvcproxyError } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import type { TableChange } from "./table-change.ts";

export interface Interruptible {
  readonly signal: AbortSignal;
}

export interface Urgency {
  /** That the host is half changed: what was kept in reserve for this moment is used. */
  readonly urgent?: boolean;
}

export interface SaveOptions extends Interruptible, Urgency {
  /** What the family is to have: chains that are known to mean what it says are not read again, see `readBesidePlan`. */
  readonly planned?: DesiredRules | undefined;
}

/** What `iptables-save` shows of one family. */
export interface SavedRules extends RuleSet {
  /** Tables that are there, but cannot be shown: they hold nftables rules that iptables cannot express. */
  readonly unreadable?: readonly string[];
  /** See `PrintedRules`. */
  readonly fingerprint?: string;
}

/** What `iptables-save` printed of one family, not read yet: to see that nothing has changed takes a fraction of reading it. */
export interface PrintedRules {
  readonly family: Family;
  /** The same for the same rules, whatever their counters, and another for any others. */
  readonly fingerprint: string;
  /** @throws EnvironmentError SAVE_UNREADABLE */
  read(options: Pick<SaveOptions, "planned">): SavedRules;
}

export interface ChainPlace {
  readonly table: string;
  readonly chain: string;
}

/** The rules of a host as tables: what `iptables-save` shows and `iptables-restore` changes, everybody's rules included. */
export interface RuleTables {
  /** How logs and errors call it, for instance `iptables-nft`. */
  readonly name: string;
  /** Every table of the family that there is. */
  save(family: Family, options: SaveOptions): Promise<SavedRules>;
  /** Some chains alone, and nothing of the others; undefined where they cannot be read, or it takes no less than to list all. */
  readChains?(
    family: Family,
    options: Interruptible & { readonly places: readonly ChainPlace[] },
  ): Promise<RuleSet | undefined>;
  /** The same as `save` in two steps, for whoever may do without the second. */
  print?(family: Family, options: Interruptible): Promise<PrintedRules>;
  /**
   * Changes one table, whole or not at all. Not interrupted: a change that went in must be known to have gone in.
   *
   * @throws RestoreRefused
   */
  restore(change: TableChange, options?: Urgency): Promise<void>;
}

/** The kernel, or the program that speaks with it, did not take a change; the table is as it was. */
export class RestoreRefused extends EnvironmentError {
  /** Whether it can go in when asked again: somebody else was at the tables. */
  readonly isPassing: boolean;
  /** The line of `formatChange` that was refused, where the tool says which. */
  readonly refusedLine: string | undefined;

  constructor(
    code: EnvironmentCode,
    message: string,
    {
      isPassing = false,
      hint,
      refusedLine,
    }: { readonly isPassing?: boolean; readonly hint?: string; readonly refusedLine?: string | undefined } = {},
  ) {
    super(code, message, hint === undefined ? {} : { hint });
    this.isPassing = isPassing;
    this.refusedLine = refusedLine;
  }
}

/** The kernel's refusal that an error came from; undefined where asking for less would not help. */
export function refusalIn(error: unknown): RestoreRefused | undefined {
  for (let each = error; each instanceof SvcproxyError; each = each.cause) {
    if (each instanceof RestoreRefused) return each.code === "RESTORE_REFUSED" && !each.isPassing ? each : undefined;
  }
  return undefined;
}
