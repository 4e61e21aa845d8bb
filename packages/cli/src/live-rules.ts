import { detectVariant, IptablesTables, type RuleStyle } from "@svcproxy/iptables";
import type { RuleSet } from "@svcproxy/rules";
import { type Family, problemSentence } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/** The rules that this machine's kernel has, of the iptables variant in use. */
export interface LiveRules {
  readonly read: (family: Family) => Promise<RuleSet>;
  /** Set where the other variant holds rules too: a sentence for people. */
  readonly unseen: string | undefined;
  /** How those of ours are written, where they say it. */
  readonly style: RuleStyle | undefined;
}

/** @throws EnvironmentError where they cannot be read */
export async function openLiveRules(context: CommandContext): Promise<LiveRules> {
  const { signal } = context;
  const { tools, problem, available } = await detectVariant({ signal });
  if (problem !== undefined) context.note(`svcproxy: ${problemSentence(problem)}`);
  const tables = new IptablesTables(tools);
  return { read: (family) => tables.save(family, { signal }), unseen: problem?.text, style: available[0]?.style };
}
