import { createHash, type Hash } from "node:crypto";

/**
 * What clients and endpoints say to each other. A connection begins with a header of five bytes, a mode and a length:
 * `echo` sends all back; `upload` reads to the end and answers with the digest; `download` sends that many bytes of
 * `randomBytes` and then their digest, and ends.
 */
export type Mode = "echo" | "upload" | "download";

export const MODES: readonly Mode[] = ["echo", "upload", "download"];
export const HEADER_BYTES = 5;
export const DIGEST_BYTES = 32;

export function writeHeader(mode: Mode, length: number): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(MODES.indexOf(mode), 0);
  header.writeUInt32LE(length, 1);
  return header;
}

export function readHeader(header: Buffer): { readonly mode: Mode; readonly length: number } {
  const mode = MODES[header.readUInt8(0)];
  if (mode === undefined) throw new Error("the proxy has changed the header");
  return { mode, length: header.readUInt32LE(1) };
}

export function newDigest(): Hash {
  return createHash("sha256");
}

const CHUNK_BYTES = 64 * 1024;
/** Long enough that a piece of it at a random place never repeats within a connection. */
const POOL = Buffer.alloc(4 * 1024 * 1024);
for (let index = 0; index < POOL.length; index += 4)
  POOL.writeInt32LE(Math.trunc((Math.random() - 0.5) * 2 ** 32), index);

/** Random bytes in pieces of at most 64 KiB. */
export function* randomBytes(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= CHUNK_BYTES) {
    const size = Math.min(left, CHUNK_BYTES);
    const start = Math.floor(Math.random() * (POOL.length - size));
    yield POOL.subarray(start, start + size);
  }
}
