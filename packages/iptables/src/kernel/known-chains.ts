import { hash } from "node:crypto";
import { type ChainLines, parseSave, type Rule, type RuleSet } from "@svcproxy/rules";
import type { DesiredRules } from "../desired-rules.ts";

/** What the kernel says of a chain with these rules, as a digest of the lines of `iptables-save`. */
interface Known {
  readonly digest: string;
  readonly rules: readonly Rule[];
}

/**
 * By the first of the plan's rules: where chains are made anew with each plan, rules that have not changed are the very same. That such lines mean
 * such rules stays true for ever, so that nothing has to be taken back when either changes.
 */
const known = new WeakMap<Rule, Known>();

/** Of the lines that rules were read from, until it is known what they mean. */
const digests = new WeakMap<readonly Rule[], string>();

/** Notes that a chain of the kernel was found to mean what the plan says of it. */
export function noteSameChain(rules: readonly Rule[], planned: readonly Rule[]): void {
  const [first] = planned;
  const digest = digests.get(rules);
  if (first !== undefined && digest !== undefined) known.set(first, { digest, rules: planned });
}

/** Whether they are the very same rules. */
export function areVerySame(rules: readonly Rule[], others: readonly Rule[]): boolean {
  return rules.length === others.length && rules.every((rule, index) => rule === others[index]);
}

/**
 * Reads what `iptables-save` prints. Of a chain whose lines were found before to mean what the plan says of it, the plan's own rules are taken: to read
 * and to compare tens of thousands of rules costs ten times what it costs to see that they have not changed.
 *
 * @throws InputError
 */
export function readBesidePlan(
  text: string,
  { family, file, planned }: { readonly family: 4 | 6; readonly file: string; readonly planned: DesiredRules },
): RuleSet {
  const chains = plannedChains(planned);
  const asked = new Map<string, string | undefined>();
  const recall = ({ table, chain, text: lines }: ChainLines) => {
    const key = `${table} ${chain}`;
    const rules = chains.get(key);
    if (rules === undefined) return undefined;
    const digest = hash("sha256", lines, "binary");
    const found = rules[0] === undefined ? undefined : known.get(rules[0]);
    const isKnown = found?.digest === digest && areVerySame(found.rules, rules);
    // Lines that stand in two places are not the whole chain in either.
    asked.set(key, isKnown || asked.has(key) ? undefined : digest);
    return isKnown ? rules : undefined;
  };
  const read = parseSave(text, { family, file, recall });
  for (const { name: table, chains: found } of read.tables) {
    for (const { name, rules } of found) {
      const digest = asked.get(`${table} ${name}`);
      if (digest !== undefined) digests.set(rules, digest);
    }
  }
  return read;
}

function plannedChains({ tables }: DesiredRules): ReadonlyMap<string, readonly Rule[]> {
  return new Map(
    tables.flatMap(({ name: table, chains }) => chains.map(({ name, rules }) => [`${table} ${name}`, rules] as const)),
  );
}
