import { existsSync } from "node:fs";
import {
  addressBits,
  EnvironmentError,
  familyOf,
  formatSocketAddress,
  type HostPlan,
  type IpAddress,
  type Protocol,
  type ServicePortPlan,
} from "@svcproxy/topology";
import { serviceName } from "../data-path/service-port-statuses.ts";
import type { Machine } from "../machine/machine.ts";
import { MissingTool } from "../tools/run-tool.ts";
import {
  type Connection,
  type ConnectionQuestion,
  type Connections,
  portsNamed,
  type UnknownFact,
} from "./connections.ts";
import { type ConntrackEntry, parseConntrackEntry } from "./conntrack.ts";

/** A table of a million connections is walked within it. */
const TIMEOUT_MS = 30_000;

/** Packets and bytes of each connection, and when it began: the kernel notes neither unless it is told to. */
const ACCOUNTING = "net.netfilter.nf_conntrack_acct";
const TIMESTAMPS = "net.netfilter.nf_conntrack_timestamp";

interface Dialled {
  readonly port: ServicePortPlan;
  readonly address: IpAddress;
  readonly number: number;
}

/**
 * The connections of a service that rules carry, as the kernel tracks them: by any data path that translates addresses. Those that are
 * over are left out. They are read by `conntrack`, else from the kernel's own file.
 *
 * @throws MissingTool where there is neither
 * @throws EnvironmentError CONNTRACK_FAILED, NEEDS_ROOT
 */
export async function readTrackedConnections(
  machine: Pick<Machine, "run" | "hasTool" | "readSysctl" | "readAddresses">,
  {
    plan,
    question,
    signal,
  }: { readonly plan: HostPlan; readonly question: ConnectionQuestion; readonly signal: AbortSignal },
): Promise<Connections> {
  const list = listing(machine);
  const connections: Connection[] = [];
  let total = 0;
  for (const dialled of dialledAddresses(plan, { name: question.service, local: localAddresses(machine) })) {
    const found = await listDialled(machine, { list, dialled, limit: question.limit - connections.length, signal });
    total += found.total;
    connections.push(...found.connections);
  }
  return { connections, total, unknown: await unknownFacts(machine, connections) };
}

/** Each address and port at which clients dial the service, once. */
function dialledAddresses(
  plan: HostPlan,
  { name, local }: { readonly name: string; readonly local: readonly IpAddress[] },
): readonly Dialled[] {
  const dialled = new Map<string, Dialled>();
  for (const port of portsNamed(plan, name)) {
    for (const { addresses, everyHostAddress, port: number } of port.frontends) {
      const all = everyHostAddress
        ? [...addresses, ...local.filter((address) => familyOf(address) === port.family)]
        : addresses;
      for (const address of all) dialled.set(`${port.port.protocol} ${address} ${number}`, { port, address, number });
    }
  }
  return [...dialled.values()];
}

function localAddresses(machine: Pick<Machine, "readAddresses">): readonly IpAddress[] {
  return machine.readAddresses().addresses.map(({ address }) => address);
}

/** States of TCP connections that are over, and that the kernel remembers for a while. */
const OVER = "/^tcp .* (TIME_WAIT|CLOSE) src=/d";

/** A shell command that prints, a line each, what the kernel tracks of those that dial one address and port. */
interface Listing {
  readonly tool: string;
  readonly command: string;
  /** Its arguments, `$1` and so on. */
  readonly args: (dialled: Dialled) => readonly string[];
}

const BY_TOOL: Listing = {
  tool: "conntrack",
  command: 'conntrack "$@"',
  args: ({ port, address, number }) => [
    ...["-L", "-f", port.family === 4 ? "ipv4" : "ipv6", "-p", port.port.protocol],
    ...["--orig-dst", address, "--orig-port-dst", String(number)],
  ],
};

/** What the kernel itself prints, where it was built with it: as the tool does, behind the family, and IPv6 addresses in full. */
const KERNEL_FILE = "/proc/net/nf_conntrack";
const BY_FILE: Listing = {
  tool: "sed",
  command: `sed -nE "$1" ${KERNEL_FILE}`,
  args: ({ port: { family, port }, address, number }) => {
    const layer = `ipv${family} +[0-9]+ `;
    const state = `${port.protocol} +[0-9]+ +[0-9]+ ([A-Z_]+ )?`;
    const destination = fullAddress(address).replaceAll(".", String.raw`\.`);
    const first = `src=[^ ]+ dst=${destination} sport=[0-9]+ dport=${number} `;
    return [`/^${layer}${state}${first}/s/^${layer}//p`];
  },
};

/** @throws MissingTool where nothing tells */
function listing(machine: Pick<Machine, "hasTool">): Listing {
  if (machine.hasTool("conntrack")) return BY_TOOL;
  if (!existsSync(KERNEL_FILE)) throw new MissingTool("conntrack");
  return BY_FILE;
}

/** `fd00:0009:0000:0000:0000:0000:0000:0001`; an IPv4 address as it is. */
function fullAddress(address: IpAddress): string {
  if (familyOf(address) === 4) return address;
  const digits = addressBits(address).toString(16).padStart(32, "0");
  return digits.match(/.{4}/g)?.join(":") ?? address;
}

/** However many there are, only so many lines come here, and behind them how many there are. */
function firstLines(command: string, count: number): string {
  return `{ ${command} || echo "exit code $?" >&2; } | sed -E '${OVER}' | sed -n -e '1,${count}p' -e '$='`;
}

async function listDialled(
  machine: Pick<Machine, "run">,
  {
    list,
    dialled,
    limit,
    signal,
  }: { readonly list: Listing; readonly dialled: Dialled; readonly limit: number; readonly signal: AbortSignal },
): Promise<{ readonly connections: readonly Connection[]; readonly total: number }> {
  const { port } = dialled;
  const script = firstLines(list.command, Math.max(1, limit));
  const output = await machine.run("sh", ["-c", script, "sh", ...list.args(dialled)], {
    signal,
    timeoutMs: TIMEOUT_MS,
    called: list.tool,
  });
  if (/^exit code \d+$/m.test(output.stderr)) throw failed(output.stderr);
  const lines = output.stdout.trimEnd().split("\n");
  const total = Number(lines.pop() ?? 0);
  const connections = lines.flatMap((line) => {
    const entry = parseConntrackEntry(line);
    return entry === undefined ? [] : [connectionOf(entry, { line, port, protocol: port.port.protocol })];
  });
  return { connections: connections.slice(0, Math.max(0, limit)), total };
}

function connectionOf(
  entry: ConntrackEntry,
  { line, port, protocol }: { readonly line: string; readonly port: ServicePortPlan; readonly protocol: Protocol },
): Connection {
  const { client, clientPort, destination, destinationPort, server, serverPort } = entry;
  const isTranslated = server !== destination || serverPort !== destinationPort;
  const [fromClient, toClient] = [...line.matchAll(/ bytes=(\d+)/g)].map(([, bytes]) => Number(bytes));
  const age = / delta-time=(\d+)/.exec(line)?.[1];
  return {
    ...{ service: serviceName(port), portName: port.port.name, protocol },
    client: formatSocketAddress({ address: client, port: clientPort }),
    vip: formatSocketAddress({ address: destination, port: destinationPort }),
    ...(isTranslated ? { endpoint: formatSocketAddress({ address: server, port: serverPort }) } : {}),
    state: stateIn(line),
    ...(age === undefined ? {} : { ageSeconds: Number(age) }),
    ...(fromClient === undefined || toClient === undefined
      ? {}
      : { bytesFromClient: fromClient, bytesToClient: toClient }),
  };
}

/** The state that the protocol has (`ESTABLISHED`); of UDP, whether it was answered. */
function stateIn(line: string): string {
  const [, state] = /^\w+\s+\d+\s+\d+\s+([A-Z_]+) /.exec(line) ?? [];
  if (state !== undefined) return state.toLowerCase().replaceAll("_", "-");
  return line.includes("[UNREPLIED]") ? "unanswered" : line.includes("[ASSURED]") ? "assured" : "answered";
}

/** A setting counts for connections that begin after it was made: what there is of them decides. */
async function unknownFacts(
  machine: Pick<Machine, "readSysctl">,
  connections: readonly Connection[],
): Promise<readonly UnknownFact[]> {
  const facts: UnknownFact[] = [];
  if (connections.some(({ bytesFromClient }) => bytesFromClient === undefined))
    facts.push({ fact: "bytes", because: await whyUnknown(machine, { sysctl: ACCOUNTING, what: "counts no bytes" }) });
  if (connections.some(({ ageSeconds }) => ageSeconds === undefined))
    facts.push({
      fact: "age",
      because: await whyUnknown(machine, { sysctl: TIMESTAMPS, what: "does not note when connections begin" }),
    });
  return facts;
}

async function whyUnknown(
  machine: Pick<Machine, "readSysctl">,
  { sysctl, what }: { readonly sysctl: string; readonly what: string },
): Promise<string> {
  const value = await machine.readSysctl(sysctl);
  if (value === undefined) return `This kernel ${what}: it has no ${sysctl}`;
  if (value === "0") return `The kernel ${what}; it does for new connections after: sysctl -w ${sysctl}=1`;
  return `Some connections are older than ${sysctl}=1, before which the kernel ${what}`;
}

function failed(stderr: string): EnvironmentError {
  const reason = stderr.split("\n").find((line) => line.trim() !== "") ?? "no reason given";
  if (/must be root|permission|not permitted/i.test(reason)) {
    return new EnvironmentError("NEEDS_ROOT", "Cannot read the connections that the kernel tracks: that needs root", {
      hint: "Try it with sudo",
    });
  }
  return new EnvironmentError(
    "CONNTRACK_FAILED",
    `Cannot read the connections that the kernel tracks: ${reason.trim()}`,
  );
}
