// Open-loop datagrams: RATE a second from CLIENTS sockets to ADDRESS PORT for SECONDS; prints what came back, and how soon.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { median } from "../statistics.ts";

const [address = "", port = "", rate = "", clients = "", seconds = ""] = process.argv.slice(2);
const PAYLOAD_BYTES = 100;
const TICK_MS = 2;
const WAIT_FOR_LATE_MS = 500;

const latenciesMs: number[] = [];
const sockets = await Promise.all(
  Array.from({ length: Number(clients) }, async () => {
    const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
    socket.on("message", (datagram) => latenciesMs.push(performance.now() - datagram.readDoubleLE(0)));
    socket.on("error", () => {});
    socket.bind(0);
    await once(socket, "listening");
    return socket;
  }),
);
let sent = 0;
const startMs = performance.now();
const lastMs = startMs + Number(seconds) * 1000;
for (let nowMs = startMs; nowMs < lastMs; nowMs = performance.now()) {
  const due = Math.floor(((nowMs - startMs) / 1000) * Number(rate));
  for (; sent < due; sent++) {
    const datagram = Buffer.alloc(PAYLOAD_BYTES);
    datagram.writeDoubleLE(performance.now(), 0);
    sockets[sent % sockets.length]?.send(datagram, Number(port), address);
  }
  await sleep(TICK_MS);
}
await sleep(WAIT_FOR_LATE_MS);
process.stdout.write(`${JSON.stringify({ sent, answered: latenciesMs.length, p50Ms: median(latenciesMs) })}\n`);
for (const socket of sockets) socket.close();
