import { InputError } from "@svcproxy/topology";
import type { RuleSet } from "../rule-set.ts";
import { formatCommand } from "../text/format-commands.ts";
import type { Command } from "../text/parse-command.ts";
import { RuleFault, syntaxFault } from "../text/rule-fault.ts";
import { RuleSetBuilder } from "./rule-set-builder.ts";

/**
 * The rule set after these commands, as the kernel's would be: a table that is used for the first time has all its
 * built-in chains.
 *
 * @throws InputError CHAIN_EXISTS, CHAIN_MISSING, CHAIN_NAME, CHAIN_IN_USE or RULE_MISSING at the first command that
 *   iptables would refuse; its line is the command's place in the list
 */
export function applyCommands(ruleSet: RuleSet, commands: Iterable<Command>): RuleSet {
  const builder = RuleSetBuilder.from(ruleSet, { isPartial: false });
  let place = 0;
  for (const command of commands) {
    place++;
    try {
      builder.run(command);
    } catch (error) {
      if (!(error instanceof RuleFault)) throw error;
      const text = formatCommand(command, { family: ruleSet.family });
      const fault = syntaxFault(error, { file: "commands", line: place, text });
      throw new InputError([{ ...fault, message: `Cannot run ${JSON.stringify(text)}: ${error.message}` }]);
    }
  }
  return builder.build();
}
