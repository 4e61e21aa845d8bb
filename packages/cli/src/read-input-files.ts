import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileFault, type InputError, type InputFile, inputError, MAX_FILE_BYTES } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/**
 * The files that arguments name: `-` is stdin, a directory stands for the YAML and JSON files right in it.
 *
 * @throws InputError FILE_UNREADABLE, FILE_TOO_LARGE, or NO_FILES for a directory without any
 */
export async function readInputFiles(context: CommandContext, names: readonly string[]): Promise<readonly InputFile[]> {
  const files: InputFile[] = [];
  for (const name of names) {
    if (name === "-") files.push({ file: "<stdin>", bytes: await context.readStdin({ maxBytes: MAX_FILE_BYTES }) });
    else files.push(...readPath(name));
  }
  return files;
}

/** Synchronous: starting the thread pool and loading fs/promises take longer than the read. */
export function readPath(name: string): readonly InputFile[] {
  try {
    if (!statSync(name).isDirectory()) return [readOne(name)];
    const paths = readdirSync(name)
      .filter((entry) => /\.(ya?ml|json)$/i.test(entry))
      .sort()
      .map((entry) => join(name, entry));
    const files = paths.filter((path) => !statSync(path).isDirectory()).map(readOne);
    if (files.length > 0) return files;
  } catch (error) {
    throw unreadable(name, error);
  }
  throw inputError("NO_FILES", `Cannot read ${JSON.stringify(name)}: the directory has no .yaml, .yml or .json file`);
}

/** Stops once there is more than a file may hold: a pipe or a device may never end, and tells no size. */
function readOne(path: string): InputFile {
  const descriptor = openSync(path, "r");
  try {
    const { size } = fstatSync(descriptor);
    if (size > MAX_FILE_BYTES) throw tooLarge(path);
    const chunks: Buffer[] = [];
    let total = 0;
    for (;;) {
      // One byte more than the size, so that a regular file is read in one go and its end is seen.
      const chunk = Buffer.allocUnsafe(Math.max(size + 1 - total, READ_CHUNK_BYTES));
      const count = readSync(descriptor, chunk);
      if (count === 0) return { file: path, bytes: Buffer.concat(chunks) };
      chunks.push(chunk.subarray(0, count));
      total += count;
      if (total > MAX_FILE_BYTES) throw tooLarge(path);
    }
  } finally {
    closeSync(descriptor);
  }
}

/** What a pipe holds at most, as Linux makes them. */
const READ_CHUNK_BYTES = 64 * 1024;

function tooLarge(path: string): InputError {
  return fileFault("FILE_TOO_LARGE", path, "Cannot read it: a file may hold 64 MiB");
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EMFILE: "too many files are open",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
  ELOOP: "its symbolic links go round in a circle",
};

/** A system error as a fault of the input; anything else stays what it is. */
function unreadable(name: string, error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error && "code" in error)) return error;
  const reason = READ_FAILURES[String(error.code)] ?? error.message;
  return inputError("FILE_UNREADABLE", `Cannot read ${JSON.stringify(name)}: ${reason}`, { cause: error });
}
