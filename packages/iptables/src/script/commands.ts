import type { Chain, Command } from "@svcproxy/rules";

/** `-N` for each chain */
export function addChains(table: string, names: readonly string[]): Command[] {
  return names.map((chain) => ({ kind: "newChain", table, chain }));
}

/** `-A` for each rule of a chain */
export function appendRules(table: string, { name, rules }: Chain): Command[] {
  return rules.map((rule) => ({ kind: "append", table, chain: name, rule }));
}
