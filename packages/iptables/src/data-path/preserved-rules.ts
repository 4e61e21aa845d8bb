import type { ChangeNotice, Difference, IptablesTools, Preserved } from "@svcproxy/host";
import { type RuleSet, ruleKey, type Table } from "@svcproxy/rules";
import { ownRules } from "../kernel/owned-table.ts";
import { planRollback } from "../kernel/plan-rollback.ts";
import type { TableChange } from "../kernel/table-change.ts";
import type { OpenMachine } from "./iptables-machine.ts";

/** All rules of one variant and family, as they were read; those of others are passed over. */
export interface FoundRules {
  readonly tools: IptablesTools;
  readonly rules: RuleSet;
}

export interface PreservedRulesInput {
  readonly found: readonly FoundRules[];
  readonly foreignChanges: ChangeNotice;
  /** For whoever changes rules. */
  readonly open: (signal: AbortSignal) => Promise<OpenMachine>;
}

/** Our rules as they were found, in every variant that has some. */
export class PreservedRules implements Preserved {
  readonly foreignChanges: ChangeNotice;
  readonly #input: PreservedRulesInput;

  constructor(input: PreservedRulesInput) {
    this.#input = input;
    this.foreignChanges = input.foreignChanges;
  }

  async restore({ signal }: { readonly signal: AbortSignal }): Promise<readonly Difference[]> {
    await using machine = await this.#input.open(signal);
    const restored: Difference[] = [];
    for (const { tools, rules } of this.#input.found) {
      const tables = machine.tables(tools);
      const now = await tables.save(rules.family, { signal });
      const ours = ownRules(now);
      for (const was of ownRules(rules).tables) {
        const is = ours.tables.find(({ name }) => name === was.name);
        // Others come and go beside ours.
        if (isSame(was, is)) continue;
        const change = planRollback(was.name, { now, before: rules });
        if (change === undefined) continue;
        await tables.restore(change);
        restored.push(describeRestoration(change, tools));
      }
    }
    return restored;
  }
}

function isSame(was: Table, now: Table | undefined): boolean {
  return now !== undefined && textOf(was) === textOf(now);
}

/** Whatever the order of the chains. */
function textOf({ chains }: Table): string {
  const texts = chains.map(({ name, rules }) => [name, ...rules.map((rule) => ruleKey(rule))].join("\n"));
  return texts.sort().join("\n");
}

function describeRestoration({ family, table, commands }: TableChange, { variant }: IptablesTools): Difference {
  const place = `IPv${family} ${table}`;
  return {
    kind: "changed-table",
    place,
    text: `iptables-${variant}, ${place}: ${commands.length} commands put it back`,
  };
}
