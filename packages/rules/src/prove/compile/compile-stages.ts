import type { BaseChain, HookStage, HookStages } from "../../hooks/hook-order.ts";
import { NftCompiler } from "../../nft/prove/compile-nft.ts";
import type { CompiledNftBase } from "../../nft/prove/compiled-nft.ts";
import { type CompiledChain, RuleCompiler } from "./compile-rules.ts";
import type { CompileContext } from "./condition.ts";

/** A base chain of iptables with its conditions as sets. */
export interface CompiledBase {
  readonly program: "iptables";
  readonly table: string;
  readonly chain: CompiledChain;
  readonly policy: "ACCEPT" | "DROP";
  readonly chains: ReadonlyMap<string, CompiledChain>;
  /** Whether OUTPUT asks for another route once it has changed what the route hangs on. */
  readonly reroutes: boolean;
}

/** What the kernel does at a hook, ready to be asked of sets of packets. */
export type SymbolicStage =
  | { readonly kind: "conntrack" }
  | { readonly kind: "chain"; readonly base: CompiledBase | CompiledNftBase }
  | { readonly kind: "nat"; readonly stages: readonly SymbolicStage[] }
  | { readonly kind: "orders"; readonly orders: readonly SymbolicOrder[]; readonly because: string }
  | { readonly kind: "unread"; readonly because: string };

/** One order of chains that have the same priority, and what it says. */
export interface SymbolicOrder {
  readonly stages: readonly SymbolicStage[];
  readonly text: string;
}

export type SymbolicStages = Readonly<Record<keyof HookStages, readonly SymbolicStage[]>>;

/** Turns the conditions of all chains into sets. Chains of one table are compiled once, whichever hooks lead to them. */
export function compileStages(stages: HookStages, context: CompileContext): SymbolicStages {
  const compiler = new StageCompiler(context);
  return {
    PREROUTING: compiler.compile(stages.PREROUTING),
    INPUT: compiler.compile(stages.INPUT),
    FORWARD: compiler.compile(stages.FORWARD),
    OUTPUT: compiler.compile(stages.OUTPUT),
    POSTROUTING: compiler.compile(stages.POSTROUTING),
  };
}

class StageCompiler {
  readonly #rules: RuleCompiler;
  readonly #nft: NftCompiler;

  constructor(context: CompileContext) {
    this.#rules = new RuleCompiler(context);
    this.#nft = new NftCompiler(context);
  }

  compile(stages: readonly HookStage[]): readonly SymbolicStage[] {
    return stages.map((stage) => this.#stage(stage));
  }

  #stage(stage: HookStage): SymbolicStage {
    switch (stage.kind) {
      case "conntrack":
        return stage;
      case "chain":
        return { kind: "chain", base: this.#base(stage.chain) };
      case "nat":
        return { kind: "nat", stages: this.compile(stage.stages) };
      case "orders":
        return { ...stage, orders: stage.orders.map((order) => ({ ...order, stages: this.compile(order.stages) })) };
      case "unread": {
        const { table, because } = stage.unread;
        return { kind: "unread", because: `the rules of ${table} were not read: ${because}` };
      }
    }
  }

  #base(base: BaseChain): CompiledBase | CompiledNftBase {
    const { table, name, policy, reroutes } = base;
    if (base.nft !== undefined) return this.#nft.compile(base, base.nft);
    const chains = this.#rules.chainsOf(table, base.chains);
    const chain = chains.get(name);
    if (chain === undefined) throw new TypeError(`table ${table} has no chain ${name}`);
    return { program: "iptables", table, chain, policy, chains, reroutes };
  }
}
