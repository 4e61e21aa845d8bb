import { execFileSync } from "node:child_process";
import process from "node:process";
import type { NetworkNamespace } from "@svcproxy/lab";
import { lockNamespace } from "../../lock/namespace-lock.ts";
import { parseInterfaces } from "../../machine/addresses.ts";
import { parseListeners, readHolders } from "../../machine/listeners.ts";
import type { Machine } from "../../machine/machine.ts";
import { readProcesses } from "../../machine/processes.ts";
import { sysctlPath } from "../../machine/sysctls.ts";
import { MissingTool, runTool, type ToolRunner } from "../../tools/run-tool.ts";
import { hasTool } from "../../tools/tool-path.ts";
import { ToolShell } from "../../tools/tool-shell.ts";

/** For `as`: an ordinary user without any capability. */
export const AS_NOBODY: readonly string[] = [
  ...["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"],
];

/**
 * The real machine as it is seen from a network namespace that a test made, by way of programs that run in it.
 *
 * @param options.as a command line that runs another one with other rights
 */
export function machineInside(
  namespace: NetworkNamespace,
  { as = [] }: { readonly as?: readonly string[] } = {},
): Machine {
  const inside = [`--net=/proc/${namespace.pid}/ns/net`, ...as];
  const run: ToolRunner = async (tool, args, options = {}) => {
    const output = await runTool("nsenter", [...inside, tool, ...args], { ...options, called: tool });
    if (output.exitCode === 127 && output.stderr.includes("failed to execute")) throw new MissingTool(tool);
    return output;
  };
  const read = async (path: string) => {
    const { exitCode, stdout } = await run("cat", [path]);
    return exitCode === 0 ? stdout : undefined;
  };
  return {
    run,
    startTools: (options) => new ToolShell({ ...options, command: ["nsenter", ...inside, "sh"], fallback: run }),
    hasTool,
    hasNetAdmin: async () => as.length === 0,
    readSysctl: async (name) => (await read(sysctlPath(name)))?.trim(),
    writeSysctl: async (name, value) => {
      const { exitCode } = await run("sh", ["-c", 'cat > "$1"', "sh", sysctlPath(name)], { input: value });
      return exitCode === 0;
    },
    readAddresses: () => {
      const program = "JSON.stringify(os.networkInterfaces())";
      const json = execFileSync("nsenter", [...inside, process.execPath, "-p", program], { encoding: "utf8" });
      return { addresses: parseInterfaces(JSON.parse(json)) };
    },
    readListeners: async () => {
      const tables = (["tcp", "udp"] as const).flatMap((protocol) =>
        ([4, 6] as const).map(async (family) => {
          const text = await read(`/proc/net/${protocol}${family === 6 ? "6" : ""}`);
          return parseListeners(text ?? "", { protocol, family });
        }),
      );
      return (await Promise.all(tables)).flat();
    },
    readHolders,
    readPods: async () => [],
    readProcesses: () => readProcesses(`/proc/${namespace.pid}/ns/net`),
    readProcFile: read,
    readRecentLists: async () => undefined,
    // Locks are named by the namespace that we are in.
    lock: (options) => lockNamespace({ ...options, name: `${options.name}-${namespace.pid}` }),
  };
}
