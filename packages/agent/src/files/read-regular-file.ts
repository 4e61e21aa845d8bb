import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { fileFault, inputError, MAX_FILE_BYTES } from "@svcproxy/topology";

/** What tells without reading that a file is not what it was. */
export interface FileStamp {
  readonly identity: string;
  readonly size: bigint;
  readonly modifiedNs: bigint;
  /** Moved on by renames and changes of mode as well. */
  readonly changedNs: bigint;
}

export type PathKind = "file" | "directory";

/** @throws InputError FILE_UNREADABLE where it is neither, or is not there */
export async function stampOf(path: string): Promise<{ readonly kind: PathKind; readonly stamp: FileStamp }> {
  const stats = await explained(path, () => stat(path, { bigint: true }));
  if (stats.isDirectory()) return { kind: "directory", stamp: toStamp(stats) };
  requireRegular(path, stats);
  return { kind: "file", stamp: toStamp(stats) };
}

export interface RegularFile {
  readonly bytes: Uint8Array;
  /** From before it was read. */
  readonly stamp: FileStamp;
  /** It was written meanwhile. */
  readonly isBeingWritten: boolean;
}

/**
 * The bytes of a regular file of at most `MAX_FILE_BYTES`. A pipe, device or socket in its place is never waited for.
 *
 * @param before its stamp by its path, from just now: opening alone does something to some devices, so it is asked before it is opened
 * @throws InputError FILE_UNREADABLE, FILE_TOO_LARGE
 */
export async function readRegularFile(path: string, before: FileStamp): Promise<RegularFile> {
  await using file = await explained(path, () => (before.size > SMALL_FILE_BYTES ? openFile(path) : openSmall(path)));
  // One that was replaced before it was opened is read a second time, in the knowledge of what it is.
  for (let stamp = before, isKnown = false; ; isKnown = true) {
    if (stamp.size > MAX_FILE_BYTES) throw tooLarge(path);
    const bytes = await explained(path, () => readUpTo(file, { expected: Number(stamp.size), most: MAX_FILE_BYTES }));
    const stats = await explained(path, () => file.stat());
    requireRegular(path, stats);
    const after = toStamp(stats);
    const isAsBefore = isSameStamp(stamp, after);
    if (!isAsBefore && !isKnown) {
      stamp = after;
      continue;
    }
    if (bytes === undefined) throw tooLarge(path);
    return { bytes, stamp, isBeingWritten: !isAsBefore };
  }
}

/** The file system has just answered, and this is a page or some: to have another thread read it takes longer than to read it. */
const SMALL_FILE_BYTES = 64 * 1024;

interface OpenFile extends AsyncDisposable {
  /** @returns how many bytes there were */
  read(into: Uint8Array, position: number): Promise<number> | number;
  stat(): Promise<BigIntStats> | BigIntStats;
}

/** So that a pipe without a writer does not hold up, because it may have been replaced in between. */
const OPEN_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

async function openFile(path: string): Promise<OpenFile> {
  const file = await open(path, OPEN_FLAGS);
  return {
    read: async (into, position) => (await file.read(into, 0, into.length, position)).bytesRead,
    stat: () => file.stat({ bigint: true }),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

function openSmall(path: string): OpenFile {
  const file = openSync(path, OPEN_FLAGS);
  return {
    read: (into, position) => readSync(file, into, 0, into.length, position),
    stat: () => fstatSync(file, { bigint: true }),
    [Symbol.asyncDispose]: async () => closeSync(file),
  };
}

/** Whether a file was neither written nor replaced between two looks. */
export function isSameStamp(a: FileStamp, b: FileStamp): boolean {
  return a.identity === b.identity && a.size === b.size && a.modifiedNs === b.modifiedNs && a.changedNs === b.changedNs;
}

/** Undefined where there are more than `most` bytes: files of /proc tell no size, and one may grow while it is read. */
async function readUpTo(
  file: OpenFile,
  { expected, most }: { expected: number; most: number },
): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for (;;) {
    // One byte more than there should be: where it is not filled, that was all, and whether it was is told by the file's stamp.
    const size = total > expected || expected === 0 ? READ_CHUNK_BYTES : expected + 1 - total;
    const chunk = Buffer.allocUnsafe(size);
    const bytesRead = await file.read(chunk, total);
    chunks.push(chunk.subarray(0, bytesRead));
    total += bytesRead;
    if (total > most) return undefined;
    if (bytesRead === 0 || (expected > 0 && total === expected))
      return chunks.length === 1 ? chunks[0] : Buffer.concat(chunks);
  }
}

const READ_CHUNK_BYTES = 64 * 1024;

function tooLarge(path: string) {
  return fileFault("FILE_TOO_LARGE", path, `Cannot read it: a file may hold ${MAX_FILE_BYTES / 1024 / 1024} MiB`);
}

function toStamp({ dev, ino, size, mtimeNs, ctimeNs }: BigIntStats): FileStamp {
  return { identity: `${dev}:${ino}`, size, modifiedNs: mtimeNs, changedNs: ctimeNs };
}

function requireRegular(path: string, stats: BigIntStats): void {
  const kind = stats.isFIFO()
    ? "a pipe"
    : stats.isSocket()
      ? "a socket"
      : stats.isCharacterDevice() || stats.isBlockDevice()
        ? "a device"
        : stats.isDirectory()
          ? "a directory"
          : undefined;
  if (kind !== undefined) throw unreadable(path, `it is ${kind}, and a file is needed`);
}

/** @throws InputError FILE_UNREADABLE where the system refuses it */
export async function explained<T>(path: string, ask: () => Promise<T> | T): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error && "code" in error)) throw error;
    throw unreadable(path, REASONS[String(error.code)] ?? error.message, error);
  }
}

export function unreadable(path: string, reason: string, cause?: unknown) {
  return inputError("FILE_UNREADABLE", `Cannot read ${JSON.stringify(path)}: ${reason}`, { cause });
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EMFILE: "too many files are open",
  ENFILE: "too many files are open",
  ENOTDIR: "a part of the path is not a directory",
  ELOOP: "its symbolic links go round in a circle",
  ENXIO: "it is a socket, or a device that is not there",
  ENAMETOOLONG: "the name is too long",
};
