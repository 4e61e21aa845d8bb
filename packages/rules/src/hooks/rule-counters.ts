import { type AnyRule, isNftRule } from "./any-rule.ts";

/** What a rule had counted when it was listed; undefined where it counts nothing, or the listing does not say. */
export function ruleCounters(rule: AnyRule): { readonly packets: bigint; readonly bytes?: bigint } | undefined {
  if (!isNftRule(rule)) return rule.counters;
  for (const statement of rule.statements) {
    if (statement.kind === "counter" && statement.packets !== undefined)
      return {
        packets: statement.packets,
        ...(statement.bytes === undefined ? {} : { bytes: statement.bytes }),
      };
  }
  return undefined;
}
