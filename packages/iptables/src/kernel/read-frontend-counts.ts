import { readFile } from "node:fs/promises";
import { type FrontendCount, findRuleTools, type IptablesTools, type Machine, toolName } from "@svcproxy/host";
import { EnvironmentError, type Family, type Protocol, parseIpAddress } from "@svcproxy/topology";

/**
 * New connections by each frontend, as the rules have counted that send them into a service's chain. iptables prints all rules of the nat
 * table for it, however few are wanted: whoever asks bounds how many there may be.
 *
 * @throws EnvironmentError SAVE_FAILED, NEEDS_ROOT
 */
export async function readFrontendCounts(
  machine: Pick<Machine, "run" | "hasTool">,
  { signal }: { readonly signal: AbortSignal },
): Promise<readonly FrontendCount[]> {
  const { iptables } = await findRuleTools(machine, { signal });
  const counts: FrontendCount[] = [];
  for (const { tools } of iptables) {
    for (const family of [4, 6] as const) {
      // iptables-legacy-save makes the table that it is asked for.
      if (tools.variant === "legacy" && !(await hasLegacyNat(family))) continue;
      counts.push(...parseFrontendCounts(await save(machine, { tools, family, signal }), family));
    }
  }
  return counts;
}

async function hasLegacyNat(family: Family): Promise<boolean> {
  const names = await readFile(`/proc/self/net/ip${family === 4 ? "" : "6"}_tables_names`, "utf8").catch(() => "");
  return names.split("\n").includes("nat");
}

async function save(
  machine: Pick<Machine, "run">,
  { tools, family, signal }: { readonly tools: IptablesTools; readonly family: Family; readonly signal: AbortSignal },
): Promise<string> {
  const tool = toolName(tools, family, "-save");
  const { exitCode, stdout, stderr } = await machine.run(tool, ["-c", "-t", "nat"], { signal });
  if (exitCode === 0) return stdout;
  throw new EnvironmentError("SAVE_FAILED", `Cannot read what rules have counted: ${tool}: ${stderr.trim()}`);
}

const COUNTED = /^\[(\d+):\d+\] -A \S+ .*-j KUBE-(?:SVC|SVL|EXT|FW)-/;
const PROTOCOLS: readonly Protocol[] = ["tcp", "udp", "sctp"];

/** Reads what `iptables-save -c -t nat` prints: of the rules that lead from an address and port to a service's chain. */
export function parseFrontendCounts(text: string, family: Family): readonly FrontendCount[] {
  return text.split("\n").flatMap((line) => {
    // What a name brought along is no part of the rule.
    const rule = line.replaceAll(/"(?:[^"\\]|\\.)*"/g, '""');
    const [, packets] = COUNTED.exec(rule) ?? [];
    const protocol = PROTOCOLS.find((name) => rule.includes(` -p ${name} `));
    const [, port] = / --dport (\d+)\b/.exec(rule) ?? [];
    if (packets === undefined || protocol === undefined || port === undefined) return [];
    const [, destination] = / -d (\S+?)\/(?:32|128) /.exec(rule) ?? [];
    const address = destination === undefined ? undefined : parseIpAddress(destination);
    return [{ family, protocol, address, port: Number(port), connections: Number(packets) }];
  });
}
