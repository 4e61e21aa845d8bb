import type { ChildProcess } from "node:child_process";
import { constants, fstatSync, openSync, readSync } from "node:fs";
import { Socket } from "node:net";
import { tmpdir } from "node:os";
import { OUTPUT_PART_BYTES, TextInParts } from "./text-in-parts.ts";

/** From the beginning of a file, up to a number of bytes. */
export function readText(fd: number, maxBytes: number): string {
  const bytes = Buffer.allocUnsafe(Math.min(fstatSync(fd).size, maxBytes, OUTPUT_PART_BYTES));
  const text = new TextInParts();
  for (let length = 0, read = -1; read !== 0 && length < maxBytes; length += read) {
    read = readSync(fd, bytes, 0, Math.min(bytes.length, maxBytes - length), length);
    text.add(bytes.subarray(0, read));
  }
  return text.whole();
}

/** Where files without a name can be: in memory, if there is such a place. */
const FOLDERS = ["/dev/shm", tmpdir()];

/** @see linux include/uapi/asm-generic/fcntl.h, O_TMPFILE, which Node has no name for */
const O_TMPFILE = 0o20_000_000 | constants.O_DIRECTORY;

/** Without a name, so that it goes with who has it open. @throws where there is no place for it */
export function openOutputFile(): number {
  for (const folder of FOLDERS) {
    try {
      return openSync(folder, O_TMPFILE | constants.O_RDWR | constants.O_APPEND, 0o600);
    } catch {
      // The next one, perhaps.
    }
  }
  throw new Error(`no file without a name can be made in ${FOLDERS.join(" or ")}`);
}

export function isOver({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode !== null || signalCode !== null;
}

/** Whether a process keeps us from ending: only while it runs something. */
export function hold(child: ChildProcess, isHeld: boolean): void {
  if (isHeld) child.ref();
  else child.unref();
  for (const stream of child.stdio) {
    if (!(stream instanceof Socket)) continue;
    if (isHeld) stream.ref();
    else stream.unref();
  }
}
