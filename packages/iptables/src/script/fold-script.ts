import { BUILT_IN_CHAINS, type Chain, type RestoreCommand, type Rule } from "@svcproxy/rules";
import { unreachable } from "@svcproxy/topology";
import type { DesiredRules, Hook } from "../desired-rules.ts";
import type { Script } from "./script.ts";

/**
 * What a script leaves behind: our chains, and our rules in the built-in ones.
 *
 * @throws TypeError where it names a chain that it has not made, or inserts into one of its own: a bug of the dialect's compiler
 */
export function foldScript({ family, sections }: Script): DesiredRules {
  const tables = new Map<string, Map<string, GrowingChain>>();
  const hooks: Hook[] = [];
  for (const { commands } of sections) for (const command of commands) run(command, { tables, hooks });
  return {
    family,
    tables: [...tables].map(([name, chains]) => ({ name, chains: [...chains.values()] })),
    hooks,
  };
}

interface GrowingChain extends Chain {
  readonly rules: Rule[];
}

interface Folding {
  readonly tables: Map<string, Map<string, GrowingChain>>;
  readonly hooks: Hook[];
}

function run(command: RestoreCommand, { tables, hooks }: Folding): void {
  switch (command.kind) {
    case "newChain": {
      const chains = tables.get(command.table) ?? new Map<string, GrowingChain>();
      tables.set(command.table, chains);
      if (chains.has(command.chain)) throw new TypeError(`chain ${command.chain} is made twice`);
      chains.set(command.chain, { name: command.chain, rules: [] });
      return;
    }
    case "append":
    case "insert": {
      const { table, chain, rule } = command;
      if (BUILT_IN_CHAINS[table]?.includes(chain) === true) {
        hooks.push({ table, chain, rule, placement: command.kind === "append" ? "last" : "first" });
        return;
      }
      const rules = tables.get(table)?.get(chain)?.rules;
      if (rules === undefined || command.kind === "insert") throw new TypeError(`cannot add to chain ${chain}`);
      rules.push(rule);
      return;
    }
    default:
      unreachable(command);
  }
}
