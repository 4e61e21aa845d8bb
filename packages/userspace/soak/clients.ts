import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { DIGEST_BYTES, newDigest, randomBytes, writeHeader } from "./payload.ts";

export interface Target {
  readonly address: string;
  readonly port: number;
}

/**
 * What became of a client: all bytes of both directions were there; it was cut short where that is allowed, and what had
 * arrived was right; or something is wrong.
 */
export type Outcome =
  | { readonly kind: "whole"; readonly bytes: number }
  | { readonly kind: "cut"; readonly why: string }
  | { readonly kind: "wrong"; readonly text: string };

export type Client = (target: Target) => Promise<Outcome>;

const MEBIBYTE = 1024 * 1024;
/** A client that never reads gives up after this long, if the proxy has not. */
const STUBBORN_MS = 6_000;

/** Each kind of client with its share of all. */
export const CLIENTS: readonly { readonly name: string; readonly weight: number; readonly run: Client }[] = [
  { name: "fast", weight: 6, run: (target) => echo(target, { length: sizeUpTo(4 * MEBIBYTE), pauseMs: 0 }) },
  { name: "slow", weight: 3, run: (target) => echo(target, { length: sizeUpTo(MEBIBYTE), pauseMs: 20 }) },
  { name: "small", weight: 6, run: (target) => echo(target, { length: sizeUpTo(2_000), pauseMs: 0 }) },
  { name: "uploading", weight: 3, run: (target) => upload(target, sizeUpTo(8 * MEBIBYTE)) },
  { name: "downloading", weight: 3, run: (target) => download(target, sizeUpTo(8 * MEBIBYTE)) },
  { name: "resetting", weight: 3, run: (target) => reset(target, sizeUpTo(MEBIBYTE)) },
  { name: "idle", weight: 2, run: idle },
  { name: "never reading", weight: 1, run: neverRead },
  { name: "leaving at once", weight: 2, run: leave },
];

function sizeUpTo(most: number): number {
  // Small ones as often as large ones.
  return Math.floor(Math.exp(Math.random() * Math.log(most)));
}

/** Sends and half-closes while it reads what comes back. */
async function echo(target: Target, { length, pauseMs }: { length: number; pauseMs: number }): Promise<Outcome> {
  const socket = dial(target);
  const sent = newDigest();
  const received = newDigest();
  const sending = (async () => {
    await write(socket, writeHeader("echo", length));
    for (const chunk of randomBytes(length)) {
      sent.update(chunk);
      await write(socket, chunk);
      if (pauseMs > 0) await sleep(pauseMs);
    }
    socket.end();
  })();
  let bytes = 0;
  const reading = (async () => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      bytes += chunk.length;
      received.update(chunk);
      if (pauseMs > 0) await sleep(pauseMs);
    }
  })();
  const why = await whyCut([sending, reading], socket);
  if (why !== undefined) {
    return bytes <= length ? { kind: "cut", why } : { kind: "wrong", text: `echo of ${length} gave ${bytes} bytes` };
  }
  if (sent.digest("hex") === received.digest("hex")) return { kind: "whole", bytes: bytes * 2 };
  if (bytes < length) return { kind: "cut", why: `${bytes} of ${length} bytes, then FIN` };
  return { kind: "wrong", text: `echo of ${length}: other bytes came back` };
}

async function upload(target: Target, length: number): Promise<Outcome> {
  const socket = dial(target);
  const digest = newDigest();
  const sending = (async () => {
    await write(socket, writeHeader("upload", length));
    for (const chunk of randomBytes(length)) {
      digest.update(chunk);
      await write(socket, chunk);
    }
    socket.end();
  })();
  let answer = Buffer.alloc(0);
  const reading = (async () => {
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) answer = Buffer.concat([answer, chunk]);
  })();
  const why = await whyCut([sending, reading], socket);
  if (why !== undefined || answer.length < DIGEST_BYTES) return { kind: "cut", why: why ?? "FIN before the answer" };
  if (answer.equals(digest.digest())) return { kind: "whole", bytes: length };
  return { kind: "wrong", text: `upload of ${length}: other bytes arrived` };
}

async function download(target: Target, length: number): Promise<Outcome> {
  const socket = dial(target);
  const digest = newDigest();
  let bytes = 0;
  let trailer = Buffer.alloc(0);
  const reading = (async () => {
    await write(socket, writeHeader("download", length));
    for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
      const body: Buffer = chunk.subarray(0, Math.max(0, length - bytes));
      digest.update(body);
      bytes += body.length;
      trailer = Buffer.concat([trailer, chunk.subarray(body.length)]);
    }
    socket.end();
  })();
  const why = await whyCut([reading], socket);
  if (why !== undefined || trailer.length < DIGEST_BYTES) return { kind: "cut", why: why ?? "FIN before the end" };
  if (trailer.equals(digest.digest())) return { kind: "whole", bytes: length };
  return { kind: "wrong", text: `download of ${length}: other bytes arrived` };
}

async function reset(target: Target, length: number): Promise<Outcome> {
  const socket = dial(target);
  const sending = (async () => {
    await write(socket, writeHeader("echo", length));
    for (const chunk of randomBytes(length)) await write(socket, chunk);
    socket.resetAndDestroy();
  })();
  socket.resume();
  await whyCut([sending], socket);
  return { kind: "cut", why: "on purpose" };
}

async function idle(target: Target): Promise<Outcome> {
  const socket = dial(target);
  socket.resume();
  await whyCut([Promise.race([sleep(Math.random() * STUBBORN_MS), once(socket, "close")])], socket);
  return { kind: "cut", why: "on purpose" };
}

async function neverRead(target: Target): Promise<Outcome> {
  const socket = dial(target);
  const stubborn = (async () => {
    await write(socket, writeHeader("download", 64 * MEBIBYTE));
    await sleep(STUBBORN_MS);
  })();
  await whyCut([stubborn], socket);
  return { kind: "cut", why: "on purpose" };
}

async function leave(target: Target): Promise<Outcome> {
  const socket = dial(target);
  await whyCut([once(socket, "connect")], socket);
  return { kind: "cut", why: "on purpose" };
}

const DATAGRAMS = 20;
const ANSWER_PATIENCE_MS = 200;

/** Datagrams may get lost, but none may come back changed or from somewhere else. @returns how many did not come back */
export async function exchangeDatagrams({ address, port }: Target): Promise<{ lost: number; wrong: number }> {
  const socket = createSocket("udp4");
  socket.on("error", () => {});
  const expected = new Set<string>();
  let wrong = 0;
  socket.on("message", (datagram, from) => {
    const isRight = from.address === address && from.port === port && expected.delete(datagram.toString("latin1"));
    if (!isRight) wrong++;
  });
  for (let index = 0; index < DATAGRAMS; index++) {
    const datagram = Buffer.concat([Buffer.from(`${index} `), ...randomBytes(sizeUpTo(8_000))]);
    expected.add(datagram.toString("latin1"));
    socket.send(datagram, port, address);
  }
  for (let waitedMs = 0; expected.size > 0 && waitedMs < ANSWER_PATIENCE_MS; waitedMs += 10) await sleep(10);
  socket.close();
  return { lost: expected.size, wrong };
}

function dial({ address, port }: Target): Socket {
  const socket = connect({ host: address, port, allowHalfOpen: true, noDelay: true });
  socket.on("error", () => {}); // told by `isCut`
  return socket;
}

async function write(socket: Socket, bytes: Uint8Array): Promise<void> {
  // A socket that is gone never says so again.
  if (!socket.destroyed && !socket.write(bytes)) await Promise.race([once(socket, "drain"), once(socket, "close")]);
  if (socket.destroyed) throw new Error("the connection is gone");
}

/** Waits for all and lets go of the socket. @returns why the first that failed did; undefined where all went well */
async function whyCut(work: readonly Promise<unknown>[], socket: Socket): Promise<string | undefined> {
  const results = await Promise.allSettled(work);
  socket.destroy();
  return results.find((result) => result.status === "rejected")?.reason?.message;
}
