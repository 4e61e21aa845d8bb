import type { Chain, RestoreCommand, Rule } from "@svcproxy/rules";

/**
 * Commands that are made each time somebody asks for them: of a large cluster there are half a million, and whoever prints
 * them needs one at a time.
 */
export function lazily(generate: () => Iterator<RestoreCommand>): Iterable<RestoreCommand> {
  return { [Symbol.iterator]: generate };
}

/** `-N` for each chain */
export function* addChains(table: string, names: Iterable<string>): Generator<RestoreCommand> {
  for (const chain of names) yield { kind: "newChain", table, chain };
}

/** `-A` for each rule of each chain */
export function* appendChains(table: string, chains: Iterable<Chain>): Generator<RestoreCommand> {
  for (const { name, rules } of chains) for (const rule of rules) yield { kind: "append", table, chain: name, rule };
}

/** `-A` for one rule */
export function append(
  table: string,
  { chain, rule }: { readonly chain: string; readonly rule: Rule },
): RestoreCommand {
  return { kind: "append", table, chain, rule };
}
