import { EnvironmentError, type Problem } from "@svcproxy/topology";

/**
 * That a userspace proxy serves in this network namespace too, if one does: rules are asked before its listeners, which get nothing from then
 * on, however they follow their topology.
 */
export async function besideUserspace(): Promise<readonly Problem[]> {
  const { isUserspaceStatus, queryInstance } = await import("@svcproxy/agent");
  const status = await queryInstance({}).catch((error: unknown) => {
    if (error instanceof EnvironmentError) return undefined;
    throw error;
  });
  if (status === undefined) return [];
  const who = isUserspaceStatus(status) ? `pid ${status.pid}` : "of another version";
  return [
    {
      ...{ code: "OTHER_DATA_PATH", severity: "warning", subject: "data path userspace" },
      text: `svcproxy userspace (${who}) serves here too: rules are asked before it, and stay as they are whatever becomes of the services`,
      hint: "Stop the proxy, or take the rules away again: svcproxy iptables cleanup, or svcproxy nftables cleanup",
    },
  ];
}
