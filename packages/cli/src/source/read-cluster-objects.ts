import { ApiClient, listCluster, loadClusterAccess } from "@svcproxy/agent";
import { type ClusterObjects, formatFault, type ParsedProxyConfiguration } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { version } from "../command-line/this-program.ts";
import type { TopologyFlags } from "./topology-input.ts";

/** What the cluster that the flags name has now. @throws InputError, EnvironmentError */
export async function readClusterObjects(
  context: Pick<CommandContext, "note" | "signal">,
  flags: Pick<TopologyFlags, "kubeconfig" | "context">,
  configuration: ParsedProxyConfiguration | undefined,
): Promise<ClusterObjects> {
  const { access, warnings } = await loadClusterAccess({
    kubeconfig: flags.kubeconfig ?? configuration?.program.kubeconfig,
    context: flags.context,
  });
  for (const warning of warnings) context.note(formatFault(warning));
  using client = new ApiClient(access, { version });
  return await listCluster(client, context.signal);
}
