import type { Family } from "@svcproxy/topology";

/** An option of a match or target as the reader met it. */
export interface ParsedOption {
  /** The spelling that iptables-save uses; the one written where the extension has no such option. */
  readonly name: string;
  /** As written. */
  readonly spelling: string;
  readonly isKnown: boolean;
  readonly negated: boolean;
  readonly values: readonly string[];
}

/**
 * The options of one extension and what they mean together.
 *
 * `read` answers undefined where something in them is not understood: the reader then keeps them word for word.
 * It throws a RuleFault where iptables would refuse them.
 */
export interface ExtensionSyntax<Value> {
  /** By every spelling: the one that iptables-save uses, and how many words follow. */
  readonly options: ReadonlyMap<string, { readonly name: string; readonly wordCount: number }>;
  readonly read: (options: readonly ParsedOption[], family: Family) => Value | undefined;
}

/**
 * @param wordCounts how many words follow each option
 * @param aliases other spellings
 */
export function extensionSyntax<Value>(
  wordCounts: Readonly<Record<string, number>>,
  read: ExtensionSyntax<Value>["read"],
  aliases: Readonly<Record<string, string>> = {},
): ExtensionSyntax<Value> {
  const options = new Map(Object.entries(wordCounts).map(([name, wordCount]) => [name, { name, wordCount }]));
  for (const [alias, name] of Object.entries(aliases)) {
    const option = options.get(name);
    if (option !== undefined) options.set(alias, option);
  }
  return { options, read };
}

/** The options of an extension as a record, where each is there at most once and known. */
export function optionsByName(
  options: readonly ParsedOption[],
): Readonly<Partial<Record<string, ParsedOption>>> | undefined {
  const byName: Partial<Record<string, ParsedOption>> = {};
  for (const option of options) {
    if (!option.isKnown || byName[option.name] !== undefined) return undefined;
    byName[option.name] = option;
  }
  return byName;
}

/** The option as it was written. */
export function optionWords({ spelling, negated, values }: ParsedOption): readonly string[] {
  return negated ? ["!", spelling, ...values] : [spelling, ...values];
}
