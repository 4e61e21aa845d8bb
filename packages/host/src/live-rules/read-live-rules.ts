import { type GivenRules, type RuleText, readRules } from "@svcproxy/rules";
import type { Machine } from "../machine/machine.ts";
import { type RuleTextOptions, type RuleTexts, readRuleTexts } from "./read-rule-texts.ts";

/**
 * All rules that this machine's kernel asks, as values; `readRuleTexts` says which.
 *
 * @throws EnvironmentError NEEDS_ROOT, TOOL_FAILED, INTERRUPTED
 */
export async function readLiveRules(
  machine: Pick<Machine, "run" | "hasTool">,
  options: RuleTextOptions,
): Promise<GivenRules> {
  return givenRules(await readRuleTexts(machine, options));
}

/** The rules of a whole host: nothing is missing of them, or it is told. `others` were given beside. */
export function givenRules({ texts, unread }: RuleTexts, others: readonly RuleText[] = []): GivenRules {
  const given = readRules([...texts, ...others]);
  return {
    ...given,
    families: [4, 6],
    missing: [],
    rules(family) {
      const rules = given.rules(family);
      const rest = unread.filter((one) => one.family === undefined || one.family === family);
      return rest.length === 0 ? rules : { ...rules, unread: [...rules.unread, ...rest] };
    },
  };
}
