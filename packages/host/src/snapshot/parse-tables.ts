import { parseCidr, parseIpAddress } from "@svcproxy/topology";
import type { AccountingObject, BlockingPolicy, ListeningSocket } from "./host-snapshot.ts";

/**
 * /proc/net/snmp and netstat: a line of names, then one of values, both behind the same word.
 *
 * @returns by the names that `nstat` has: `IpInReceives`, `TcpExtListenOverflows`
 */
export function parsePairedCounters(text: string): Readonly<Record<string, number>> {
  const lines = text.split("\n");
  const counters: Record<string, number> = {};
  for (let at = 0; at + 1 < lines.length; at += 2) {
    const [word = "", ...names] = (lines[at] ?? "").split(/\s+/);
    const [, ...values] = (lines[at + 1] ?? "").split(/\s+/);
    for (const [index, name] of names.entries()) counters[word.replace(":", "") + name] = Number(values[index]);
  }
  return counters;
}

/** /proc/net/snmp6: a name and a value on each line. */
export function parseListedCounters(text: string): Readonly<Record<string, number>> {
  return Object.fromEntries(
    text.split("\n").flatMap((line) => {
      const [name = "", value] = line.trim().split(/\s+/);
      return value === undefined ? [] : [[name, Number(value)] as const];
    }),
  );
}

/** /proc/net/stat/nf_conntrack: hexadecimal, a line for each CPU. `entries` is the same on all; the rest is added up. */
export function parseConntrackStatistics(text: string): Readonly<Record<string, number>> {
  const [head = "", ...lines] = text.split("\n").filter((line) => line.trim() !== "");
  const names = head.trim().split(/\s+/);
  const sums: Record<string, number> = {};
  for (const line of lines)
    for (const [index, value] of line.trim().split(/\s+/).entries()) {
      const name = names[index];
      if (name === undefined) continue;
      const count = Number.parseInt(value, 16);
      sums[name] = name === "entries" ? count : (sums[name] ?? 0) + count;
    }
  return sums;
}

/** `{ pkts = 00000012, bytes = 00000000000000000720 } = name;`, as `nfacct list` prints it. */
export function parseAccounting(text: string): readonly AccountingObject[] {
  return [...text.matchAll(/^\{ pkts = (\d+), bytes = (\d+)[^}]*\} = (.+);$/gm)].map(
    ([, packets, bytes, name = ""]) => ({
      name,
      packets: Number(packets),
      bytes: Number(bytes),
    }),
  );
}

/** What `ip xfrm policy` prints: `src CIDR dst CIDR`, then `dir out action block` for one that is not `allow`. */
export function parseBlockingPolicies(text: string): readonly BlockingPolicy[] {
  const pattern = /^src (\S+) dst (\S+)(.*)\n\s+dir (\w+) action block/gm;
  return [...text.matchAll(pattern)].flatMap(([, from = "", to = "", more = "", direction = ""]) => {
    const [source, destination, upper] = [parseCidr(from), parseCidr(to), more.trim()];
    if (source === undefined || destination === undefined) return [];
    return [{ source, destination, direction, ...(upper === "" ? {} : { upper }) }];
  });
}

/** Lines of `ss -H -l -n -t -u -p`; what it cannot read of one is left out. */
export function parseSockets(text: string): readonly ListeningSocket[] {
  return text.split("\n").flatMap((line) => {
    const [protocol, , waiting, backlog, local = "", , ...rest] = line.trim().split(/\s+/);
    const parts = /^(.*?)(?:%([^:\]]+))?:(\d+)$/.exec(local);
    if ((protocol !== "tcp" && protocol !== "udp") || parts === null) return [];
    const [, host = "", device, port] = parts;
    const address = parseIpAddress(host.replace(/^\[|\]$/g, ""));
    const holders = [...rest.join(" ").matchAll(/\("((?:[^"\\]|\\.)*)",pid=(\d+)/g)].map(([, command = "", pid]) => ({
      pid: Number(pid),
      command,
    }));
    return [
      {
        protocol,
        ...(address === undefined ? {} : { address }),
        ...(device === undefined ? {} : { interface: device }),
        port: Number(port),
        waiting: Number(waiting),
        backlog: Number(backlog),
        holders,
      },
    ];
  });
}

/** /proc/net/ip_vs: the lines of virtual services, `TCP  0A600001:0050 rr`. */
export function parseIpvsServices(text: string): readonly string[] {
  return text.split("\n").flatMap((line) => (/^(?:TCP|UDP|SCTP|FWM) /.test(line) ? [line.trim()] : []));
}
