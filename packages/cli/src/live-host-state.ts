import { readdir, readFile } from "node:fs/promises";
import { MissingTool, readSysctl, runTool } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** Sysctls on which a packet's way hangs; those of `net.ipv4.conf` come once an interface. */
const SYSCTLS = [
  "net.ipv4.ip_forward",
  "net.ipv6.conf.all.forwarding",
  "net.bridge.bridge-nf-call-iptables",
  "net.bridge.bridge-nf-call-ip6tables",
  "net.netfilter.nf_conntrack_tcp_be_liberal",
  "net.netfilter.nf_conntrack_tcp_loose",
];
const INTERFACE_SYSCTLS = ["rp_filter", "accept_local", "route_localnet", "src_valid_mark", "forwarding"];

/**
 * What this machine's packets depend on besides rules, as JSON: `ip -j addr`, `ip -j route`, `ip -j rule`, chosen sysctls,
 * and, where there are any, ipsets and the lists of the `recent` match. `readHostState` reads it.
 *
 * @throws EnvironmentError where `ip` is missing or refuses
 */
export async function readHostStateJson(signal: AbortSignal): Promise<string> {
  const addresses = await readIp(["-d", "addr"], signal);
  const [route4, route6, rule4, rule6] = await Promise.all([
    readIp(["-4", "route", "show", "table", "all"], signal),
    readIp(["-6", "route", "show", "table", "all"], signal),
    readIp(["-4", "rule"], signal),
    readIp(["-6", "rule"], signal),
  ]);
  const ipset = await readIpSets(signal);
  const recent = await readRecentLists();
  const state = {
    addr: addresses,
    route: { 4: route4, 6: route6 },
    rule: { 4: rule4, 6: rule6 },
    sysctls: await readSysctls(addresses),
    ...(ipset === undefined ? {} : { ipset }),
    ...(recent === undefined ? {} : { recent }),
  };
  return `${JSON.stringify(state, null, 2)}\n`;
}

async function readIp(args: readonly string[], signal: AbortSignal): Promise<readonly unknown[]> {
  const { exitCode, stdout, stderr } = await runTool("ip", ["-j", ...args], { signal });
  // A kernel without IPv6, or a table that nobody made yet, is nothing to fail on.
  if (exitCode !== 0 && args.includes("-6")) return [];
  if (exitCode !== 0 || stdout.trim() === "") {
    if (exitCode === 0 || /does not exist/.test(stderr)) return [];
    throw new EnvironmentError(
      "IP_FAILED",
      `Cannot read this host's addresses and routes: ip ${args.join(" ")}: ${stderr.trim()}`,
    );
  }
  const parsed: unknown = JSON.parse(stdout);
  return Array.isArray(parsed) ? parsed : [];
}

async function readSysctls(addresses: readonly unknown[]): Promise<Readonly<Record<string, string>>> {
  const devices = addresses.flatMap((entry) =>
    typeof entry === "object" && entry !== null && "ifname" in entry && typeof entry.ifname === "string"
      ? [entry.ifname]
      : [],
  );
  const names = [
    ...SYSCTLS,
    ...["all", "default", ...devices].flatMap((device) =>
      INTERFACE_SYSCTLS.map((setting) => `net.ipv4.conf.${device}.${setting}`),
    ),
  ];
  const values = await Promise.all(names.map(async (name) => [name, await readSysctl(name)] as const));
  return Object.fromEntries(values.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}

/** @returns undefined where there is no ipset, or it may not be asked */
async function readIpSets(signal: AbortSignal): Promise<string | undefined> {
  try {
    const { exitCode, stdout } = await runTool("ipset", ["save"], { signal });
    return exitCode === 0 ? stdout : undefined;
  } catch (error) {
    if (error instanceof MissingTool) return undefined;
    throw error;
  }
}

const RECENT = "/proc/net/xt_recent";

/** @returns undefined where the kernel has no such lists: then none is known to be empty either, for a module loads later */
async function readRecentLists(): Promise<Readonly<Record<string, readonly string[]>> | undefined> {
  try {
    const lists = await readdir(RECENT);
    const entries = await Promise.all(
      lists.map(async (list) => {
        const text = await readFile(`${RECENT}/${list}`, "utf8");
        return [list, [...text.matchAll(/^src=(\S+)/gm)].flatMap(([, address]) => address ?? [])] as const;
      }),
    );
    return Object.fromEntries(entries);
  } catch {
    return undefined;
  }
}
