import { MissingTool, readSysctl, runTool, writeSysctl } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** How one run of the `ip` command ended. */
export type IpOutcome =
  | { readonly kind: "done"; readonly stdout: string }
  | { readonly kind: "failed"; readonly stderr: string }
  /** There is no `ip` command on PATH. */
  | { readonly kind: "no-command" };

/** The two doors through which addresses, routes and sysctls of this network namespace are read and changed. */
export interface HostNetwork {
  /** Runs `ip` with these arguments; `input` is what a `-batch -` reads. */
  ip(args: readonly string[], input?: string): Promise<IpOutcome>;
  /** @returns undefined where the kernel has no such sysctl */
  readSysctl(name: string): Promise<string | undefined>;
  /** @returns whether the kernel took it */
  writeSysctl(name: string, value: string): Promise<boolean>;
}

/** An `ip -force -batch` complains of each command that fails. */
const MAX_ERROR_BYTES = 16 << 20;

/** The network namespace that this process is in. */
export const hostNetwork: HostNetwork = { ip: runIp, readSysctl, writeSysctl };

async function runIp(args: readonly string[], input = ""): Promise<IpOutcome> {
  try {
    const { exitCode, stdout, stderr } = await runTool("ip", args, { input, maxErrorBytes: MAX_ERROR_BYTES });
    return exitCode === 0 ? { kind: "done", stdout } : { kind: "failed", stderr };
  } catch (error) {
    if (error instanceof MissingTool) return { kind: "no-command" };
    if (error instanceof EnvironmentError) return { kind: "failed", stderr: error.message };
    throw error;
  }
}
