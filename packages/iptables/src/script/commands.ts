import type { Chain, RestoreCommand } from "@svcproxy/rules";

/** `-N` for each chain */
export function addChains(table: string, names: readonly string[]): RestoreCommand[] {
  return names.map((chain) => ({ kind: "newChain", table, chain }));
}

/** `-A` for each rule of a chain */
export function appendRules(table: string, { name, rules }: Chain): RestoreCommand[] {
  return rules.map((rule) => ({ kind: "append", table, chain: name, rule }));
}
