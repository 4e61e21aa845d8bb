import type { ChangeNotice, Difference, Preserved } from "@svcproxy/host";
import type { Family } from "@svcproxy/topology";
import { commitSteps } from "../change/commit-steps.ts";
import { planRestoration } from "../change/plan-restoration.ts";
import { isEmpty } from "../change/transaction.ts";
import { isLeased } from "../compile/lease.ts";
import { type NftTable, TABLE } from "../table/nft-table.ts";
import { describeDraft } from "./describe-draft.ts";
import type { OpenNftMachine } from "./nft-machine.ts";

export interface PreservedTablesInput {
  /** As they were read. */
  readonly tables: readonly NftTable[];
  /** For whoever changes our tables. */
  readonly open: (signal: AbortSignal) => Promise<OpenNftMachine>;
}

/** A change of our table: `delete element ip svcproxy services { … }`. */
const ABOUT_OURS = new RegExp(`^\\w+ \\w+ ip6? ${TABLE}(?: |$)`);

/** How changes of our tables are noticed. */
export const TABLE_CHANGES: ChangeNotice = {
  kind: "monitor",
  tool: "nft",
  concerns: (line) => ABOUT_OURS.test(line),
};

/** Our tables as they were found. */
export class PreservedTables implements Preserved {
  readonly foreignChanges = TABLE_CHANGES;
  readonly #input: PreservedTablesInput;

  constructor(input: PreservedTablesInput) {
    this.#input = input;
  }

  async restore({ signal }: { readonly signal: AbortSignal }): Promise<readonly Difference[]> {
    await using machine = await this.#input.open(signal);
    const drafts = await Promise.all(
      this.#input.tables.map(async (was) => {
        const table = await machine.read(was.family, { signal });
        const transaction = planRestoration(was, table);
        const change = isEmpty(transaction) ? undefined : ({ kind: "transaction", transaction } as const);
        return { family: was.family, table, kept: undefined, change };
      }),
    );
    for (const step of commitSteps(drafts.flatMap(({ change }) => change ?? []))) await machine.commit(step);
    return drafts.flatMap(describeDraft);
  }

  async renewLease({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    const families: readonly Family[] = this.#input.tables.filter(isLeased).map(({ family }) => family);
    if (families.length === 0) return;
    await using machine = await this.#input.open(signal);
    await machine.renewLease(families);
  }
}
