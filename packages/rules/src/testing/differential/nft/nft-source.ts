import type { NftHook } from "../../../nft/nft-rule-set.ts";

/** Rules of nftables as text, in parts that can be taken away one by one. */
export interface NftSource {
  readonly tables: readonly SourceTable[];
}

export interface SourceTable {
  readonly family: "ip" | "ip6" | "inet";
  readonly name: string;
  /** Declarations of sets and maps, each one line. */
  readonly sets: readonly string[];
  readonly chains: readonly SourceChain[];
}

export interface SourceChain {
  readonly name: string;
  readonly base?: {
    readonly type: "filter" | "nat" | "route";
    readonly hook: NftHook;
    readonly priority: number;
    readonly policy: "accept" | "drop";
  };
  readonly rules: readonly string[];
}

/** Names of the tables that random rules may have, so that what an earlier rule set left is taken away. */
export const TABLE_NAMES = ["t0", "t1", "t2"] as const;

/** A file for `nft -f`: what was there of these tables goes first. */
export function formatNftSource({ tables }: NftSource): string {
  const lines = (["ip", "ip6", "inet"] as const).flatMap((family) =>
    TABLE_NAMES.flatMap((name) => [`add table ${family} ${name}`, `delete table ${family} ${name}`]),
  );
  for (const { family, name, sets, chains } of tables) {
    lines.push(`table ${family} ${name} {`, ...sets);
    for (const chain of chains) {
      const { base } = chain;
      const head =
        base === undefined
          ? []
          : [`type ${base.type} hook ${base.hook} priority ${base.priority}; policy ${base.policy};`];
      lines.push(`chain ${chain.name} {`, ...head, ...chain.rules, "}");
    }
    lines.push("}");
  }
  return `${lines.join("\n")}\n`;
}

/** Every source with one part less, the larger parts first. */
export function* smallerSources(source: NftSource): Generator<NftSource> {
  for (const at of source.tables.keys()) yield { tables: source.tables.toSpliced(at, 1) };
  for (const [tableAt, table] of source.tables.entries()) {
    const withTable = (changed: Partial<SourceTable>): NftSource => ({
      tables: source.tables.with(tableAt, { ...table, ...changed }),
    });
    for (const at of table.chains.keys()) yield withTable({ chains: table.chains.toSpliced(at, 1) });
    for (const [chainAt, chain] of table.chains.entries()) {
      for (const at of chain.rules.keys())
        yield withTable({ chains: table.chains.with(chainAt, { ...chain, rules: chain.rules.toSpliced(at, 1) }) });
      if (chain.base?.policy === "drop") {
        const base = { ...chain.base, policy: "accept" as const };
        yield withTable({ chains: table.chains.with(chainAt, { ...chain, base }) });
      }
    }
    for (const at of table.sets.keys()) yield withTable({ sets: table.sets.toSpliced(at, 1) });
  }
}
