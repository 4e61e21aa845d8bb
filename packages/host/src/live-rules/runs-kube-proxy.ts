import type { Machine } from "../machine/machine.ts";
import { findRuleTools, toolName } from "../tools/rule-tools.ts";
import { MissingTool } from "../tools/run-tool.ts";

/**
 * Whether a kube-proxy in iptables mode keeps rules on this machine: its canary is there. False where nobody may look.
 *
 * @throws EnvironmentError TOOL_FAILED, INTERRUPTED
 */
export async function runsKubeProxy(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  for (const { tools } of (await findRuleTools(machine, { signal })).iptables) {
    try {
      const { exitCode, stdout } = await machine.run(toolName(tools, 4, "-save"), [], { signal });
      if (exitCode === 0 && /^:KUBE-PROXY-CANARY /m.test(stdout)) return true;
    } catch (error) {
      if (!(error instanceof MissingTool)) throw error;
    }
  }
  return false;
}
