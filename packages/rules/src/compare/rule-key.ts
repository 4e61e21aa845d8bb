import { isBarrier, isHeaderMatch } from "../effects/rule-effect.ts";
import type { Rule } from "../rule-set.ts";
import { storableComment } from "../text/format-style.ts";
import { matchAtoms } from "./match-atoms.ts";
import { targetKey } from "./target-key.ts";

export interface RuleKeyOptions {
  /** Tell rules apart that differ in their comments only, as `iptables -D` does; default false: a comment does nothing. */
  readonly withComments?: boolean;
}

/**
 * A text that is equal for two rules of one family exactly where they were found to mean the same: whatever their spelling,
 * the order of their matches, implicit modules, counters and (by default) comments. Two probabilities are the same where
 * the kernel keeps the same 31 bits of them.
 *
 * Equal keys mean equal rules. The reverse holds for everything but unknown extensions, whose words are compared as they are.
 */
export function ruleKey(rule: Rule, { withComments = false }: RuleKeyOptions = {}): string {
  const headers = new Set<string>();
  // A match that counts or remembers sees only what passed the matches before it: nothing may move past it.
  const segments: string[] = [];
  let segment = new Set<string>();
  let comments = "";
  for (const match of rule.matches) {
    if (match.kind === "comment") {
      if (withComments) comments += ` #${JSON.stringify(storableComment(match.text))}`;
      continue;
    }
    const atoms = matchAtoms(match);
    if (isBarrier(match)) {
      segments.push(sorted(segment), atoms.join(" "));
      segment = new Set();
      continue;
    }
    const into = isHeaderMatch(match) ? headers : segment;
    for (const atom of atoms) into.add(atom);
  }
  segments.push(sorted(segment));
  return `${sorted(headers)} | ${segments.join(" > ")} | ${targetKey(rule.target)}${comments}`;
}

function sorted(atoms: ReadonlySet<string>): string {
  return atoms.size < 2 ? [...atoms].join("") : [...atoms].sort().join(" ");
}
