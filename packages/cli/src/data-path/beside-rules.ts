import type { Machine } from "@svcproxy/host";
import { MARKER_CHAIN } from "@svcproxy/iptables";
import { EnvironmentError, type Problem } from "@svcproxy/topology";

/** The proxy does not wait longer for a look at rules. */
const TIMEOUT_MS = 10_000;

/**
 * That rules of ours are here, if some are: the kernel asks them before a userspace proxy's listeners, which then get nothing, and the rules
 * stay as they are whatever the proxy follows. What may not be read is passed over: the proxy is for hosts without rights, too.
 *
 * @throws EnvironmentError INTERRUPTED
 */
export async function besideRules(
  machine: Pick<Machine, "run" | "readProcFile">,
  signal: AbortSignal,
): Promise<readonly Problem[]> {
  const print = async (tool: string, args: readonly string[]): Promise<string> => {
    try {
      const { exitCode, stdout } = await machine.run(tool, args, { signal, timeoutMs: TIMEOUT_MS });
      return exitCode === 0 ? stdout : "";
    } catch (error) {
      if (error instanceof EnvironmentError && error.code !== "INTERRUPTED") return "";
      throw error;
    }
  };
  // Without rules and elements, of which there may be very many.
  const chains = await print("nft", ["list", "chains"]);
  // Asking for a table that is not there would make it.
  const legacyTables = (await machine.readProcFile("/proc/net/ip_tables_names")) ?? "";
  const legacy = /^nat$/m.test(legacyTables) ? await print("iptables-legacy-save", ["-t", "nat"]) : "";
  const isMarked = (listing: string) => listing.includes(MARKER_CHAIN);
  const found = [
    ...(/^table ip6? svcproxy \{/m.test(chains) ? ["nftables"] : []),
    ...(isMarked(chains) ? ["iptables-nft"] : []),
    ...(isMarked(legacy) ? ["iptables-legacy"] : []),
  ];
  if (found.length === 0) return [];
  return [
    {
      ...{ code: "OTHER_DATA_PATH", severity: "warning", subject: `our rules of ${found.join(", ")}` },
      text: `Rules of ours are in ${found.join(" and ")}: they are asked before this proxy, and stay as they are whatever becomes of the services`,
      hint: "svcproxy nftables cleanup, or svcproxy iptables cleanup, takes them away; the proxy then serves",
    },
  ];
}
