import { setTimeout as delay } from "node:timers/promises";
import type { RuleSet } from "@svcproxy/rules";
import { EnvironmentError, type Family, SvcproxyError } from "@svcproxy/topology";
import type { DesiredRules } from "../desired-rules.ts";
import { findDifference } from "./find-difference.ts";
import { refuseForeignChains } from "./foreign-chains.ts";
import { GONE_UDP } from "./own-chains.ts";
import { ownRules } from "./owned-table.ts";
import { planRollback } from "./plan-rollback.ts";
import type { ApplyOptions, ApplyOutcome, ApplyRunOptions, RuleBackend, RuleDifference } from "./rule-backend.ts";
import { type Interruptible, RestoreRefused, type RuleTables, type SavedRules } from "./rule-tables.ts";
import { formatChange, type TableChange } from "./table-change.ts";
import { withJournal } from "./udp-journal.ts";

/** How often we set to again when another program changes the rules between our look and our change, or undoes it. */
const ATTEMPTS = 12;

/** Longest pause before another attempt: long enough for the other program to end what it is at. */
const MAX_PAUSE_MS = 500;

/** How often an old table is put back when another program is at it, or no process can be started: for a second. */
const ROLLBACK_ATTEMPTS = 6;

const FAMILIES: readonly Family[] = [4, 6];

/** Plans by pure comparison, feeds table by table, looks again before it says done. */
export class TableBackend implements RuleBackend {
  readonly name: string;
  readonly #tables: RuleTables;

  constructor(tables: RuleTables) {
    this.name = tables.name;
    this.#tables = tables;
  }

  async read(options: Interruptible): Promise<readonly RuleSet[]> {
    return (await this.#saveAll([], options)).map(ownRules);
  }

  async compare(desired: readonly DesiredRules[], options: ApplyOptions): Promise<RuleDifference> {
    return findDifference(await this.#saveAll(desired, options), desired, options);
  }

  async apply(desired: readonly DesiredRules[], options: ApplyRunOptions): Promise<ApplyOutcome> {
    const before =
      options.printed?.map((rules) => rules.read({ planned: planFor(rules.family, desired) })) ??
      (await this.#saveAll(desired, options));
    const ours = options.adopt === true ? before : before.map(ownRules);
    const noted = options.settle === undefined ? desired : withJournal(desired, ours);
    const changes: TableChange[] = [];
    let last: Converged;
    try {
      last = await this.#converge(noted, { ...options, before, changes });
    } catch (error) {
      throw await this.#putBack(error, { before, changes });
    }
    if (last.changes.length > 0) throw keepsChanging(last.changes);
    await options.settle?.(ours);
    if (noted !== desired) last = await this.#forget(desired, { ...options, changes });
    return { changes, before, after: last.current, heldChains: heldChains(last) };
  }

  /** Takes the note of what is gone away again. The new rules are in by now: nothing is put back, and nothing interrupts it. */
  async #forget(
    desired: readonly DesiredRules[],
    options: ApplyOptions & Pick<ApplyRun, "changes">,
  ): Promise<Converged> {
    const run = { ...options, signal: new AbortController().signal };
    try {
      const last = await this.#converge(desired, { ...run, before: await this.#saveAll(desired, run) });
      if (last.changes.length > 0) throw keepsChanging(last.changes);
      return last;
    } catch (error) {
      if (!(error instanceof SvcproxyError)) throw error;
      const state = `the host has the new rules, and until the next apply chain ${GONE_UDP}, which nothing jumps to`;
      throw new EnvironmentError(error.code, `${error.message}; ${state}`, {
        cause: error,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      });
    }
  }

  /** @returns what is still different at the end: nothing, unless another program undoes each of our changes */
  async #converge(desired: readonly DesiredRules[], run: ApplyOptions & ApplyRun): Promise<Converged> {
    let current = run.before;
    let refused: Refusal | undefined;
    for (let attempt = 0; ; attempt++) {
      const found = findDifference(current, desired, run);
      if (run.adopt !== true) refuseForeignChains(found.families);
      if (refused !== undefined && (attempt === ATTEMPTS || isFinal(refused, found))) throw refused.error;
      if (found.changes.length === 0 || attempt === ATTEMPTS) return { ...found, current };
      if (attempt > 1) await pause(attempt, run);
      refused = await this.#feed(found.changes, run);
      current = await this.#saveAll(desired, run);
    }
  }

  /** Feeds the changes one by one, up to the first that is refused: the caller looks again. */
  async #feed(wanted: readonly TableChange[], run: ApplyOptions & ApplyRun): Promise<Refusal | undefined> {
    for (const change of wanted) {
      throwIfInterrupted(run);
      try {
        await this.#tables.restore(change);
      } catch (error) {
        if (error instanceof RestoreRefused) return { change, error };
        // Whoever was stopped in the middle may have committed before.
        run.changes.push(change);
        throw error;
      }
      run.changes.push(change);
    }
    return undefined;
  }

  /** Gives the host its old rules again. @returns the error with what became of them */
  async #putBack(error: unknown, { before, changes }: ApplyRun): Promise<unknown> {
    if (!(error instanceof SvcproxyError) || (changes.length === 0 && !(error instanceof RestoreRefused))) return error;
    const changed = new Map(changes.toReversed().map((change) => [`${change.table} (IPv${change.family})`, change]));
    const failures: string[] = [];
    for (const [name, { family, table }] of changed) {
      try {
        await this.#putTableBack(table, before, family);
      } catch (cause) {
        failures.push(`${name}: ${cause instanceof Error ? cause.message : String(cause)}`);
      }
    }
    if (failures.length > 0) {
      return new EnvironmentError(
        error.code,
        `${error.message}; these tables had changed before and could not be put back: ${failures.join("; ")}`,
        {
          cause: error,
          hint: "`svcproxy iptables diff` tells what the host has; `apply` mends it once the cause is gone",
        },
      );
    }
    const state = changes.length === 0 ? "the host has its old rules" : "the host has its old rules again";
    return new EnvironmentError(error.code, `${error.message}; ${state}`, {
      cause: error,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }

  async #putTableBack(table: string, before: readonly RuleSet[], family: Family): Promise<void> {
    // What was interrupted is to be undone all the same.
    const { signal } = new AbortController();
    const old = before.find((rules) => rules.family === family) ?? { family, tables: [] };
    let failure: unknown;
    for (let attempt = 0; attempt <= ROLLBACK_ATTEMPTS; attempt++) {
      if (attempt > 0) await pause(attempt, { signal });
      try {
        const now = await this.#tables.save(family, { signal, urgent: true });
        const change = planRollback(table, { now, before: old });
        if (change === undefined) return;
        failure = undefined;
        await this.#tables.restore(change, { urgent: true });
      } catch (error) {
        failure = error;
      }
    }
    throw failure ?? new Error("another program changed it each time");
  }

  async #saveAll(
    desired: readonly DesiredRules[],
    { families = FAMILIES, signal }: Pick<ApplyOptions, "families" | "signal">,
  ): Promise<readonly SavedRules[]> {
    throwIfInterrupted({ signal });
    return Promise.all(
      families.map((family) => this.#tables.save(family, { signal, planned: planFor(family, desired) })),
    );
  }
}

function planFor(family: Family, desired: readonly DesiredRules[]): DesiredRules | undefined {
  return desired.find((rules) => rules.family === family);
}

interface ApplyRun {
  readonly before: readonly SavedRules[];
  /** What went in so far, and at the end what may have gone in. */
  readonly changes: TableChange[];
}

/** What is still different, and all rules as they were at that look. */
interface Converged extends RuleDifference {
  readonly current: readonly SavedRules[];
}

interface Refusal {
  readonly change: TableChange;
  readonly error: RestoreRefused;
}

/** Asking again for the same thing helps only where the reason passes. */
function isFinal({ change, error }: Refusal, { changes }: RuleDifference): boolean {
  const text = formatChange(change);
  const isSame = (other: TableChange) =>
    other.family === change.family && other.table === change.table && formatChange(other) === text;
  return !error.isPassing && changes.some(isSame);
}

function heldChains({ families }: RuleDifference): ApplyOutcome["heldChains"] {
  return families.flatMap(({ family, tables }) =>
    tables.flatMap(({ table, extraChains }) =>
      extraChains.flatMap(({ chain, heldBy }) =>
        heldBy === undefined ? [] : [{ family, table: table.name, chain: chain.name, heldBy }],
      ),
    ),
  );
}

function keepsChanging(left: readonly TableChange[]): EnvironmentError {
  const names = left.map(({ family, table }) => `${table} (IPv${family})`).join(", ");
  return new EnvironmentError(
    "RULES_KEEP_CHANGING",
    `The new rules went in ${ATTEMPTS} times, and each time another program changed them again, in: ${names}`,
    { hint: "`svcproxy iptables diff` tells what it changes; stop that program, then apply again" },
  );
}

function throwIfInterrupted({ signal }: Interruptible): void {
  if (signal.aborted) throw new EnvironmentError("INTERRUPTED", "Interrupted");
}

async function pause(attempt: number, { signal }: Interruptible): Promise<void> {
  await delay(Math.min(MAX_PAUSE_MS, 10 * 2 ** attempt), undefined, { signal }).catch(() => {});
}
