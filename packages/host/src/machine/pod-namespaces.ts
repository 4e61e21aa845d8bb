import { readdir, readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import { type Cidr, cidrOf, type IpAddress, parseIpAddress } from "@svcproxy/topology";

/** Another network namespace of this machine, as a pod has one: what listens in it, as far as its processes may be looked at. */
export interface PodNamespace {
  /** Its number. */
  readonly inode: number;
  /** One of its processes. */
  readonly pid: number;
  readonly addresses: readonly IpAddress[];
  readonly listeners: readonly PodListener[];
  /** Connections that were turned away because nobody accepted them, since it was made. */
  readonly listenOverflows: number;
  /** Where its packets have a way, `0.0.0.0/0` and `::/0` for anywhere; absent where that could not be read, and without a route of IPv6 where there is no IPv6. */
  readonly routes?: readonly Cidr[];
  /** By which number this host's links call it (`link-netnsid`); read where it shares an address with another. */
  readonly linkId?: number;
}

export interface PodListener {
  readonly protocol: "tcp" | "udp";
  /** Undefined: every address. */
  readonly address?: IpAddress;
  readonly port: number;
  /** Of TCP: connections that wait to be accepted. */
  readonly waiting: number;
  /** How many may wait, one more besides; absent: none waits, or it is not known. */
  readonly backlog?: number;
}

/** A host has a hundred pods; more processes than this are not looked at. */
const MAX_PROCESSES = 20_000;

/**
 * The other network namespaces of this machine that processes are in, by /proc alone: no program has to be started in them.
 *
 * @param proc where the processes are seen, for instance `/host/proc`
 */
export async function readPodNamespaces(proc = "/proc"): Promise<readonly PodNamespace[]> {
  const own = await namespaceOf(join(proc, "self"));
  const first = await namespaceOf(join(proc, "1"));
  const found = new Map<number, number>();
  const names = await readdir(proc).catch(() => []);
  for (const name of names.filter((entry) => /^\d+$/.test(entry)).slice(0, MAX_PROCESSES)) {
    const inode = await namespaceOf(join(proc, name));
    if (inode !== undefined && inode !== own && inode !== first && !found.has(inode)) found.set(inode, Number(name));
  }
  const pods = await Promise.all(Array.from(found, ([inode, pid]) => readPod({ inode, pid, proc })));
  return pods.filter((pod) => pod !== undefined);
}

async function namespaceOf(process: string): Promise<number | undefined> {
  const link = await readlink(join(process, "ns/net")).catch(() => "");
  const number = /\d+/.exec(link)?.[0];
  return number === undefined ? undefined : Number(number);
}

async function readPod({
  inode,
  pid,
  proc,
}: {
  readonly inode: number;
  readonly pid: number;
  readonly proc: string;
}): Promise<PodNamespace | undefined> {
  const read = (name: string) => readFile(join(proc, String(pid), "net", name), "utf8").catch(() => "");
  const [trie, addresses6, netstat, routes, routes6, ...tables] = await Promise.all(
    ["fib_trie", "if_inet6", "netstat", "route", "ipv6_route", "tcp", "tcp6", "udp", "udp6"].map(read),
  );
  const addresses = [...localAddresses(trie ?? ""), ...addressesOfV6(addresses6 ?? "")];
  if (addresses.length === 0) return undefined; // it has ended meanwhile, or is empty
  const listeners = tables.flatMap((text = "", index) => parseSocketTable(text, index < 2 ? "tcp" : "udp"));
  return {
    ...{ inode, pid, addresses, listeners, listenOverflows: listenOverflows(netstat ?? "") },
    ...(routes === undefined || routes === "" ? {} : { routes: [...routesOf(routes), ...routesOfV6(routes6 ?? "")] }),
  };
}

/** Reads /proc/net/fib_trie: `|-- 10.5.75.2` above `/32 host LOCAL`. */
function localAddresses(trie: string): readonly IpAddress[] {
  const found = new Set<IpAddress>();
  let last: IpAddress | undefined;
  for (const line of trie.split("\n")) {
    const leaf = /\|-- ([\d.]+)/.exec(line)?.[1];
    if (leaf !== undefined) last = parseIpAddress(leaf);
    else if (/\/32 host LOCAL/.test(line) && last !== undefined && !last.startsWith("127.")) found.add(last);
  }
  return [...found];
}

/** Of a route in /proc/net/route: it is up, and it refuses. */
const ROUTE_UP = 0x1;
const ROUTE_REJECTS = 0x200;

/** Reads /proc/net/route: destination and mask are words of the machine's own byte order, in hex; the main table alone. */
function routesOf(text: string): readonly Cidr[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [, destination = "", , flags = "0", , , , mask = ""] = line.trim().split(/\s+/);
      const set = Number.parseInt(flags, 16);
      if ((set & ROUTE_UP) === 0 || (set & ROUTE_REJECTS) !== 0) return [];
      const address = destination === "00000000" ? parseIpAddress("0.0.0.0") : readAddress(destination);
      const ones = Number.parseInt(mask, 16).toString(2).replaceAll("0", "").length;
      return address === undefined || mask.length !== 8 ? [] : [cidrOf(address, ones)];
    });
}

/** Reads /proc/net/ipv6_route: destination and its length, source and its length, next hop, metric, two counts, flags, device; all in hex. */
export function routesOfV6(text: string): readonly Cidr[] {
  return text.split("\n").flatMap((line) => {
    const [destination = "", length = "", , , , , , , flags = "0", device] = line.trim().split(/\s+/);
    const set = Number.parseInt(flags, 16);
    if ((set & ROUTE_UP) === 0 || (set & ROUTE_REJECTS) !== 0 || device === "lo") return [];
    const address = /^[0-9a-f]{32}$/.test(destination)
      ? parseIpAddress(destination.replace(/(.{4})(?!$)/g, "$1:"))
      : undefined;
    return address === undefined ? [] : [cidrOf(address, Number.parseInt(length, 16))];
  });
}

/** Reads /proc/net/if_inet6: 32 digits of an address first in each line. */
function addressesOfV6(text: string): readonly IpAddress[] {
  return text.split("\n").flatMap((line) => {
    const digits = /^[0-9a-f]{32}/.exec(line)?.[0];
    const address = digits === undefined ? undefined : parseIpAddress(digits.replace(/(.{4})(?!$)/g, "$1:"));
    return address === undefined || address === "::1" || address.startsWith("fe80") ? [] : [address];
  });
}

/** The states of a TCP socket that listens, and of a UDP socket that is bound. */
const LISTENING = { tcp: "0A", udp: "07" } as const;

/** Reads a table like /proc/net/tcp6: addresses are words of the machine's own byte order, in hex. */
export function parseSocketTable(text: string, protocol: "tcp" | "udp"): readonly PodListener[] {
  return text.split("\n").flatMap((line): readonly PodListener[] => {
    const [, local = "", , state, queues = ""] = line.trim().split(/\s+/);
    const [hex = "", port = ""] = local.split(":");
    if (state !== LISTENING[protocol] || (hex.length !== 8 && hex.length !== 32)) return [];
    const address = readAddress(hex);
    const waiting = Number.parseInt(queues.split(":")[1] ?? "0", 16);
    return [
      {
        protocol,
        port: Number.parseInt(port, 16),
        waiting: protocol === "tcp" && Number.isFinite(waiting) ? waiting : 0,
        ...(address === undefined ? {} : { address }),
      },
    ];
  });
}

/** @returns undefined for the address that stands for all */
function readAddress(hex: string): IpAddress | undefined {
  if (/^0+$/.test(hex)) return undefined;
  const bytes = (hex.match(/.{8}/g) ?? []).flatMap((word) => (word.match(/.{2}/g) ?? []).toReversed());
  if (bytes.length === 4) return parseIpAddress(bytes.map((byte) => Number.parseInt(byte, 16)).join("."));
  const address = parseIpAddress((bytes.join("").match(/.{4}/g) ?? []).join(":"));
  const mapped = /^::ffff:([\d.]+)$/.exec(address ?? "")?.[1];
  return mapped === undefined ? address : parseIpAddress(mapped);
}

/** Reads /proc/net/netstat: a line of names above a line of values. */
function listenOverflows(text: string): number {
  const [names = "", values = ""] = text.split("\n").filter((line) => line.startsWith("TcpExt:"));
  const place = names.split(" ").indexOf("ListenOverflows");
  return place < 0 ? 0 : Number(values.split(" ")[place] ?? 0);
}
