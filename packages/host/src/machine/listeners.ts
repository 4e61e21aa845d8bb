import { open, readdir, readFile, readlink } from "node:fs/promises";
import { addressFromBits, type Family, familyOf, type IpAddress } from "@svcproxy/topology";

/** A socket that waits for connections or datagrams. */
export interface Listener {
  readonly protocol: "tcp" | "udp";
  /** `0.0.0.0` or `::` for every address; one of `::` may take IPv4 as well. */
  readonly address: IpAddress;
  readonly port: number;
  /** The socket's, by which the process is found that has it open. */
  readonly inode: number;
}

/** A process that has a socket open. */
export interface PortHolder {
  readonly pid: number;
  /** Its name as the kernel has it, at most 15 characters. */
  readonly command: string;
}

/** What waits in this state, in /proc/net: a listening TCP socket, a bound UDP socket that is connected to nobody. */
const WAITING = { tcp: "0A", udp: "07" } as const;

/** Of a seq_file the kernel gives at most so much at once. */
const PIECE_BYTES = 4_096;

/**
 * Every socket of this network namespace that listens, whoever's it is; none where there is no /proc. It costs what there are of these and of
 * UDP sockets, however many connections there are.
 *
 * @see proc_pid_net(5), /proc/net/tcp
 */
export async function readListeners(): Promise<readonly Listener[]> {
  const tables = (["tcp", "udp"] as const).flatMap((protocol) =>
    ([4, 6] as const).map(async (family) => {
      const file = `/proc/net/${protocol}${family === 6 ? "6" : ""}`;
      const text = await (protocol === "tcp" ? readWaiting(file) : readFile(file, "utf8")).catch(() => "");
      return parseListeners(text, { protocol, family });
    }),
  );
  return (await Promise.all(tables)).flat();
}

/**
 * The lines of a TCP table up to the first connection, and the rest of their piece: "It will first list all listening TCP sockets, and next list all
 * established TCP connections" (Documentation/networking/proc_net_tcp.rst). Connections are tens of thousands where many have just ended, and the
 * kernel walks a table of its own for them.
 */
async function readWaiting(file: string): Promise<string> {
  await using table = await open(file);
  const piece = Buffer.alloc(PIECE_BYTES);
  let text = "";
  for (;;) {
    const { bytesRead } = await table.read(piece, 0, PIECE_BYTES);
    text += piece.toString("latin1", 0, bytesRead);
    if (bytesRead === 0 || hasConnection(text)) return text;
  }
}

/** Looks at the last whole line: what listens comes before it. */
function hasConnection(text: string): boolean {
  const end = text.lastIndexOf("\n");
  const line = text.slice(text.lastIndexOf("\n", end - 1) + 1, end);
  return !line.includes(` ${WAITING.tcp} `) && !line.startsWith("  sl");
}

/** Who waits for connections, or datagrams, in the text of /proc/net/tcp, tcp6, udp or udp6. */
export function parseListeners(
  text: string,
  { protocol, family }: { readonly protocol: "tcp" | "udp"; readonly family: Family },
): readonly Listener[] {
  const waiting = ` ${WAITING[protocol]} `;
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      // Most of thousands are connections, also ended ones: they are not to be taken apart.
      if (!line.includes(waiting)) return [];
      const [, local = "", , state, , , , , , inode] = line.trim().split(/\s+/);
      if (state !== WAITING[protocol]) return [];
      const [address = "", port = ""] = local.split(":");
      const bits = BigInt(`0x${inHostOrder(address)}`);
      return [
        { protocol, address: addressFromBits(family, bits), port: Number.parseInt(port, 16), inode: Number(inode) },
      ];
    });
}

/** The file has 32-bit words in the byte order of the machine (little-endian). */
function inHostOrder(hex: string): string {
  return (hex.match(/.{8}/g) ?? []).map((word) => (word.match(/../g) ?? []).reverse().join("")).join("") || "0";
}

/** Who has sockets open, by their inodes, as far as this user may see it. */
export async function readHolders(inodes: ReadonlySet<number>): Promise<ReadonlyMap<number, PortHolder>> {
  const holders = new Map<number, PortHolder>();
  const pids = (await readdir("/proc").catch(() => [])).filter((entry) => /^\d+$/.test(entry));
  for (const pid of pids) {
    if (holders.size === inodes.size) break;
    // Another user's process, or one that has just ended, shows none.
    for (const fd of await readdir(`/proc/${pid}/fd`).catch(() => [])) {
      const target = await readlink(`/proc/${pid}/fd/${fd}`).catch(() => "");
      const inode = Number(/^socket:\[(\d+)\]$/.exec(target)?.[1]);
      if (!inodes.has(inode) || holders.has(inode)) continue;
      const command = (await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "")).trim();
      holders.set(inode, { pid: Number(pid), command });
    }
  }
  return holders;
}

export interface WantedSocket {
  readonly protocol: "tcp" | "udp";
  readonly address: IpAddress;
  readonly port: number;
}

/** Those of `listeners` that keep a socket from being bound: on the same address, or on every one. */
export function listenersAt(
  listeners: readonly Listener[],
  { protocol, address, port }: WantedSocket,
): readonly Listener[] {
  const takers: readonly string[] =
    familyOf(address) === 4 ? [address, "0.0.0.0", `::ffff:${address}`, "::"] : [address, "::"];
  return listeners.filter(
    (listener) => listener.protocol === protocol && listener.port === port && takers.includes(listener.address),
  );
}
