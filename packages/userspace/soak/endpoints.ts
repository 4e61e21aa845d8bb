// The servers behind the proxy, in a process of their own. Arguments: ADDRESS CLEAN-PORTS SLOW-PORTS RESETTING-PORTS UDP-PORTS,
// each a comma-separated list. Says `ready` by IPC, and ends with its parent.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createServer, type Socket } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { HEADER_BYTES, newDigest, randomBytes, readHeader } from "./payload.ts";

/** A slow endpoint rests this long after this much. */
const SLOW_PAUSE_MS = 5;
const SLOW_BYTES = 256 * 1024;
/** A resetting endpoint gives up within this much. */
const RESET_BYTES = 512 * 1024;

interface Manner {
  readonly isSlow: boolean;
  /** Resets the connection when so many bytes came in or went out. */
  readonly resetAfter: number;
}

const [address = "", ...lists] = process.argv.slice(2);
const [clean = [], slow = [], resetting = [], udp = []] = lists.map((list) => list.split(",").map(Number));

await Promise.all([
  ...clean.map((port) => serve(port, () => ({ isSlow: false, resetAfter: Number.POSITIVE_INFINITY }))),
  ...slow.map((port) => serve(port, () => ({ isSlow: true, resetAfter: Number.POSITIVE_INFINITY }))),
  ...resetting.map((port) => serve(port, () => ({ isSlow: false, resetAfter: Math.random() * RESET_BYTES }))),
  ...udp.map(serveUdp),
]);
process.on("disconnect", () => process.exit());
process.send?.("ready");

async function serve(port: number, manner: () => Manner): Promise<void> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    socket.on("error", () => {});
    answer(socket, manner()).catch(() => socket.resetAndDestroy());
  });
  await once(server.listen({ port, host: address, backlog: 4096 }), "listening");
}

async function answer(socket: Socket, { isSlow, resetAfter }: Manner): Promise<void> {
  let moved = 0;
  const move = async (bytes: number) => {
    const before = moved;
    moved += bytes;
    if (moved > resetAfter) throw new Error("gives up, as it should");
    if (isSlow && Math.floor(before / SLOW_BYTES) !== Math.floor(moved / SLOW_BYTES)) await sleep(SLOW_PAUSE_MS);
  };
  const write = async (bytes: Uint8Array) => {
    await move(bytes.length);
    if (!socket.write(bytes)) await once(socket, "drain");
  };
  let header = Buffer.alloc(0);
  const digest = newDigest();
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    let body: Buffer = chunk;
    if (header.length < HEADER_BYTES) {
      const all = Buffer.concat([header, chunk]);
      header = all.subarray(0, HEADER_BYTES);
      body = all.subarray(HEADER_BYTES);
      if (header.length < HEADER_BYTES) continue;
      const { mode, length } = readHeader(header);
      if (mode === "download") {
        await download(write, length);
        break;
      }
    }
    await move(body.length);
    if (readHeader(header).mode === "echo") await write(body);
    else digest.update(body);
  }
  if (header.length === HEADER_BYTES && readHeader(header).mode === "upload") await write(digest.digest());
  socket.end();
}

async function download(write: (bytes: Uint8Array) => Promise<void>, length: number): Promise<void> {
  const digest = newDigest();
  for (const chunk of randomBytes(length)) {
    digest.update(chunk);
    await write(chunk);
  }
  await write(digest.digest());
}

async function serveUdp(port: number): Promise<void> {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });
  socket.on("error", () => {});
  socket.on("message", (datagram, from) => socket.send(datagram, from.port, from.address));
  socket.bind(port, address);
  await once(socket, "listening");
}
