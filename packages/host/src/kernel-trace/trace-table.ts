import { EnvironmentError, familyOf, type IpAddress } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";
import { MissingTool } from "../tools/run-tool.ts";

/** The table that marks packets for the kernel's tracing. */
export const TRACE_TABLE = "inet svcproxy-trace";

/** Chains of the table, by what they are for. */
export const TRACE_CHAINS = {
  /** Mark what comes in and what this host sends, ahead of everybody else's chains. */
  marking: ["mark-incoming", "mark-outgoing"],
  /** Take the mark off what belongs to a connection that is known already. */
  sparing: ["spare-incoming", "spare-outgoing"],
  /** Show the packet once it has been through everything. */
  left: "leaves",
  arrived: "arrives",
} as const;

/** Marks at most so many packets a second, so that nobody's traffic is slowed and the output stays short. */
const PACKETS_A_SECOND = 5;

/** The table goes with its program; of one that was killed, what is left marks nothing any more after this. */
const GRACE_MS = 2_000;

/** Connections that are to be traced. */
export interface TracedConnection {
  readonly protocol: "tcp" | "udp" | "sctp";
  readonly from: IpAddress;
  /** Undefined: any. */
  readonly sourcePort?: number;
  readonly to: IpAddress;
  readonly port: number;
}

/**
 * Has the kernel trace the first packets of these connections, and nothing else; in the place of what a killed program left.
 *
 * @throws MissingTool where there is no `nft`
 * @throws EnvironmentError NEEDS_ROOT, NFT_REFUSED
 */
export async function installTraceTable(
  machine: Pick<Machine, "run">,
  {
    connection,
    forMs,
    signal,
  }: { readonly connection: TracedConnection; readonly forMs: number; readonly signal: AbortSignal },
): Promise<void> {
  const output = await machine.run("nft", ["-f", "-"], { input: traceTable(connection, forMs + GRACE_MS), signal });
  if (output.exitCode !== 0) throw refused("trace connections", output.stderr);
}

/** Takes the table away. @returns whether there was one; where there is no `nft` there can be none */
export async function removeTraceTable(
  machine: Pick<Machine, "run">,
  { signal }: { readonly signal: AbortSignal },
): Promise<boolean> {
  try {
    const output = await machine.run("nft", ["delete", "table", ...TRACE_TABLE.split(" ")], { signal });
    if (output.exitCode === 0) return true;
    if (/No such file or directory/.test(output.stderr)) return false;
    throw refused(`remove table ${TRACE_TABLE}`, output.stderr);
  } catch (error) {
    if (error instanceof MissingTool) return false;
    throw error;
  }
}

/** An element that times out, and not a rule alone, says who is traced: kill -9 leaves nothing that goes on marking. */
function traceTable({ protocol, from, sourcePort, to, port }: TracedConnection, aliveMs: number): string {
  const ip = familyOf(from) === 4 ? "ip" : "ip6";
  const flags = protocol === "tcp" ? " tcp flags & (syn | ack) == syn" : "";
  const sport = sourcePort === undefined ? "" : ` ${protocol} sport ${sourcePort}`;
  const wanted = `${ip} saddr @clients ${ip} daddr ${to} meta l4proto ${protocol}${sport} ${protocol} dport ${port}`;
  const mark = `${wanted}${flags} limit rate ${PACKETS_A_SECOND}/second burst ${PACKETS_A_SECOND} packets meta nftrace set 1`;
  const spare = `${wanted} ct state established,related meta nftrace set 0`;
  const [markIncoming, markOutgoing] = TRACE_CHAINS.marking;
  const [spareIncoming, spareOutgoing] = TRACE_CHAINS.sparing;
  return `
table ${TRACE_TABLE} {
}
delete table ${TRACE_TABLE}
table ${TRACE_TABLE} {
  set clients {
    type ${ip === "ip" ? "ipv4_addr" : "ipv6_addr"}
    flags timeout
    elements = { ${from} timeout ${Math.ceil(aliveMs / 1000)}s }
  }
  chain ${markIncoming} {
    type filter hook prerouting priority -350; policy accept;
    iif != "lo" ${mark}
  }
  chain ${markOutgoing} {
    type filter hook output priority -350; policy accept;
    ${mark}
  }
  chain ${spareIncoming} {
    type filter hook prerouting priority -199; policy accept;
    ${spare}
  }
  chain ${spareOutgoing} {
    type filter hook output priority -199; policy accept;
    ${spare}
  }
  chain ${TRACE_CHAINS.left} {
    type filter hook postrouting priority 1000; policy accept;
  }
  chain ${TRACE_CHAINS.arrived} {
    type filter hook input priority 1000; policy accept;
  }
}
`;
}

function refused(doing: string, stderr: string): EnvironmentError {
  const reason = stderr.split("\n").find((line) => line.trim() !== "") ?? "no reason given";
  if (/Operation not permitted|you must be root/i.test(reason)) {
    return new EnvironmentError("NEEDS_ROOT", `Cannot ${doing}: that needs root`, { hint: "Try it with sudo" });
  }
  return new EnvironmentError("NFT_REFUSED", `Cannot ${doing}: ${reason.trim()}`);
}
