import { BUILT_IN_CHAINS, type Chain, type RuleSet, type Table } from "../../rule-set.ts";

/** A restore changes the tables that it names: all of them, so that none is left from the test before. */
export function withEveryTable(rules: RuleSet): RuleSet {
  const tables = Object.entries(BUILT_IN_CHAINS).map(([name, chains]): Table => {
    const given = rules.tables.find((table) => table.name === name)?.chains ?? [];
    const missing = chains.filter((chain) => !given.some((one) => one.name === chain));
    return {
      name,
      chains: [...missing.map((chain): Chain => ({ name: chain, policy: "ACCEPT", rules: [] })), ...given],
    };
  });
  return { ...rules, tables };
}
