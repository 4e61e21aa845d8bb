import { isNftRule } from "../../hooks/any-rule.ts";
import type { BaseChain } from "../../hooks/hook-order.ts";
import type { CompileContext } from "../../prove/compile/condition.ts";
import type { NftChain, NftTable } from "../nft-rule-set.ts";
import { compileStatement } from "./compile-statement.ts";
import type { CompiledNftBase, CompiledNftChain, CompiledNftRule, NftStep } from "./compiled-nft.ts";
import { Readings } from "./readings.ts";

/** Compiles the chains of tables, each table once. */
export class NftCompiler {
  readonly #context: CompileContext;
  readonly #tables = new Map<NftTable, ReadonlyMap<string, CompiledNftChain>>();

  constructor(context: CompileContext) {
    this.#context = context;
  }

  compile({ table, name, policy, reroutes }: BaseChain, nft: NftTable): CompiledNftBase {
    const chains = this.#chainsOf(table, nft);
    const chain = chains.get(name);
    if (chain === undefined) throw new TypeError(`table ${table} has no chain ${name}`);
    return { program: "nft", table, chain, policy, chains, reroutes };
  }

  #chainsOf(name: string, table: NftTable): ReadonlyMap<string, CompiledNftChain> {
    let chains = this.#tables.get(table);
    if (chains === undefined) {
      const compiling = { context: this.#context, table, readings: new Readings(table, this.#context) };
      chains = new Map(table.chains.map((chain) => [chain.name, compileChain(name, chain, compiling)]));
      this.#tables.set(table, chains);
    }
    return chains;
  }
}

type Compiling = Parameters<typeof compileStatement>[1];

function compileChain(table: string, { name, rules }: NftChain, compiling: Compiling): CompiledNftChain {
  const compiled = rules.filter(isNftRule).flatMap((rule, place): readonly CompiledNftRule[] => {
    const steps = joined(rule.statements.flatMap((statement) => compileStatement(statement, compiling)));
    // What comes after the last step that does something makes no difference.
    const end = steps.findLastIndex(({ kind }) => kind !== "conditions" && kind !== "member") + 1;
    if (end === 0) return [];
    return [{ placed: { table, chain: name, number: place + 1, rule }, steps: steps.slice(0, end) }];
  });
  return { name, rules: compiled };
}

/** Conditions that stand side by side are asked together. */
function joined(steps: readonly NftStep[]): readonly NftStep[] {
  const result: NftStep[] = [];
  for (const step of steps) {
    const before = result.at(-1);
    if (step.kind === "conditions" && before?.kind === "conditions")
      result[result.length - 1] = { kind: "conditions", conditions: [...before.conditions, ...step.conditions] };
    else result.push(step);
  }
  return result;
}
