import { EnvironmentError } from "@svcproxy/topology";
import { type Command, readCommand, type UnreadPart } from "../snapshot/read-part.ts";
import type { Machine } from "./machine.ts";

type AskedMachine = Pick<Machine, "run" | "readSysctl" | "readRecentLists">;

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

/** The parts of a host's state by their keys in the file, and those that could not be read. */
export interface HostStateParts {
  readonly state: Readonly<Record<string, unknown>> & { readonly sysctls: Readonly<Record<string, string>> };
  readonly unread: readonly UnreadPart[];
}

/**
 * What this machine's packets depend on besides rules, as JSON: `ip -j addr`, `ip -j route`, `ip -j rule`, chosen sysctls,
 * and, where they may be read, ipsets, the lists of the `recent` match, IPsec policies and accounting objects. `readHostState` reads
 * it. What could not be read stands under `unread`.
 *
 * @throws EnvironmentError where `ip` is missing or refuses
 */
export async function readHostStateJson(
  machine: AskedMachine,
  options: { readonly signal: AbortSignal },
): Promise<string> {
  const { state, unread } = await readHostStateParts(machine, options);
  return `${JSON.stringify({ ...state, ...(unread.length === 0 ? {} : { unread }) }, null, 2)}\n`;
}

/** The same before it is text. */
export async function readHostStateParts(
  machine: AskedMachine,
  { signal }: { readonly signal: AbortSignal },
): Promise<HostStateParts> {
  const readIp = (args: readonly string[]) => askIp(machine, { args, signal });
  const addresses = await readIp(["-d", "addr"]);
  const [route4, route6, rule4, rule6] = await Promise.all([
    readIp(["-4", "route", "show", "table", "all"]),
    readIp(["-6", "route", "show", "table", "all"]),
    readIp(["-4", "rule"]),
    readIp(["-6", "rule"]),
  ]);
  const texts: Record<string, string> = {};
  const unread: UnreadPart[] = [];
  for (const [part, command] of OPTIONAL_TEXTS) {
    const reading = await readCommand(machine, command, signal);
    if ("value" in reading) texts[part] = reading.value;
    else unread.push({ part, because: reading.because });
  }
  const recent = await machine.readRecentLists();
  const state = {
    addr: addresses,
    route: { 4: route4, 6: route6 },
    rule: { 4: rule4, 6: rule6 },
    sysctls: await readSysctls(machine, addresses),
    ...texts,
    ...(recent === undefined ? {} : { recent }),
  };
  return { state, unread };
}

const OPTIONAL_TEXTS: readonly (readonly [string, Command])[] = [
  ["ipset", { tool: "ipset", args: ["save"] }],
  ["xfrm", { tool: "ip", args: ["xfrm", "policy"] }],
  ["nfacct", { tool: "nfacct", args: ["list"] }],
];

async function askIp(
  machine: AskedMachine,
  { args, signal }: { readonly args: readonly string[]; readonly signal: AbortSignal },
): Promise<readonly unknown[]> {
  const { exitCode, stdout, stderr } = await machine.run("ip", ["-j", ...args], { signal });
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

async function readSysctls(
  machine: AskedMachine,
  addresses: readonly unknown[],
): Promise<Readonly<Record<string, string>>> {
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
  const values = await Promise.all(names.map(async (name) => [name, await machine.readSysctl(name)] as const));
  return Object.fromEntries(values.filter((entry): entry is readonly [string, string] => entry[1] !== undefined));
}
