import { readdir, readFile, readlink } from "node:fs/promises";
import { addressBits, addressWidth, type Family, familyOf, type IpAddress } from "@svcproxy/topology";
import type { PortHolder } from "./contract.ts";

/** State of a listening TCP socket, and of a bound UDP socket, in /proc/net. */
const LISTENING = "0A";
const UDP_BOUND = "07";

/**
 * The process that keeps an address and port from being bound, as far as this user may see it.
 * @see proc_pid_net(5), /proc/net/tcp
 */
export async function findPortHolder(
  protocol: "tcp" | "udp",
  { address, port }: { address: IpAddress; port: number },
): Promise<PortHolder | undefined> {
  try {
    const inodes = await holdingInodes(protocol, { address, port });
    return inodes.size === 0 ? undefined : await processWith(inodes);
  } catch {
    return undefined; // no /proc: then nobody is named
  }
}

async function holdingInodes(
  protocol: "tcp" | "udp",
  { address, port }: { address: IpAddress; port: number },
): Promise<Set<string>> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, "0");
  const places = new Set([...localPlaces(address)].map((place) => `${place}:${hexPort}`));
  const inodes = new Set<string>();
  // A wildcard IPv6 socket may hold an IPv4 port as well.
  for (const table of [protocol, `${protocol}6`]) {
    const lines = (await readFile(`/proc/net/${table}`, "utf8")).split("\n").slice(1);
    for (const line of lines) {
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (places.has(local) && state === (protocol === "tcp" ? LISTENING : UDP_BOUND) && inode !== undefined) {
        inodes.add(inode);
      }
    }
  }
  return inodes;
}

/** The address itself and the wildcards that cover it, as /proc/net writes them. */
function* localPlaces(address: IpAddress): Generator<string> {
  yield procAddress(addressBits(address), familyOf(address));
  if (familyOf(address) === 4) yield procAddress(0n, 4);
  yield procAddress(0n, 6);
}

/** 32-bit words in the byte order of the machine (little-endian), in hexadecimal. */
function procAddress(bits: bigint, family: Family): string {
  const hex = bits.toString(16).padStart(addressWidth(family) / 4, "0");
  return (hex.match(/.{8}/g) ?? [])
    .map((word) => (word.match(/../g) ?? []).reverse().join(""))
    .join("")
    .toUpperCase();
}

async function processWith(inodes: ReadonlySet<string>): Promise<PortHolder | undefined> {
  const wanted = new Set([...inodes].map((inode) => `socket:[${inode}]`));
  for (const entry of await readdir("/proc")) {
    if (!/^\d+$/.test(entry) || !(await holdsOne(entry, wanted))) continue;
    const command = (await readFile(`/proc/${entry}/comm`, "utf8")).trim();
    return { pid: Number(entry), command };
  }
  return undefined;
}

async function holdsOne(pid: string, sockets: ReadonlySet<string>): Promise<boolean> {
  try {
    for (const fd of await readdir(`/proc/${pid}/fd`)) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      if (sockets.has(target)) return true;
    }
  } catch {
    // another user's process, or one that has just ended
  }
  return false;
}
