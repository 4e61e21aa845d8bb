import { detectVariant, IptablesTables } from "@svcproxy/iptables";
import type { RuleSet } from "@svcproxy/rules";
import type { Family } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/** The rules that this machine's kernel has, of the iptables variant in use. @throws EnvironmentError where they cannot be read */
export async function readLiveRules(context: CommandContext, family: Family): Promise<RuleSet> {
  const { signal } = context;
  const { tools, warning } = await detectVariant({ signal });
  if (warning !== undefined) context.note(`svcproxy: ${warning}`);
  return new IptablesTables(tools).save(family, { signal });
}
