import type { Family } from "@svcproxy/topology";
import { joinWritten, type WrittenTable } from "../change/written-table.ts";
import type { ApplyRun } from "./apply-run.ts";
import type { OpenNftMachine } from "./nft-machine.ts";
import { foreignChange } from "./table-problems.ts";

/** Reading again what was written may take this part of a core: changes that follow each other closely are read again together. */
const CHECK_SHARE = 0.02;

/** What was written and not read again yet. */
export class ReadBack {
  readonly #pending = new Map<Family, WrittenTable>();
  /** On the clock of `performance`. */
  #dueMs = 0;

  add(written: WrittenTable): void {
    const before = this.#pending.get(written.family);
    this.#pending.set(written.family, before === undefined ? written : joinWritten(before, written));
  }

  /** All of it was read anew. */
  clear(): void {
    this.#pending.clear();
  }

  /**
   * Reads again what is pending, unless that was done only just now: then it goes with the next change, or with the next quiet moment.
   *
   * @param isQuiet whether it is read however lately that was done
   * @returns whether nothing that was read is otherwise; what is, is told
   */
  async settle({
    machine,
    run,
    isQuiet = false,
  }: {
    readonly machine: Pick<OpenNftMachine, "isAsWritten">;
    readonly run: Pick<ApplyRun, "problems">;
    readonly isQuiet?: boolean;
  }): Promise<boolean> {
    const startedMs = performance.now();
    if (this.#pending.size === 0 || (startedMs < this.#dueMs && !isQuiet)) return true;
    const tables = [...this.#pending.values()];
    this.clear();
    let isAll = true;
    for (const written of tables) {
      if (await machine.isAsWritten(written)) continue;
      isAll = false;
      const problem = foreignChange(written.family);
      const isTold = run.problems.some(({ code, subject }) => code === problem.code && subject === problem.subject);
      if (!isTold) run.problems.push(problem);
    }
    const endedMs = performance.now();
    this.#dueMs = endedMs + (endedMs - startedMs) / CHECK_SHARE;
    return isAll;
  }
}
