import { closeSync, fstatSync, openSync, readdirSync, readSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileFault, type InputError, type InputFile, inputError, MAX_FILE_BYTES } from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";

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

/** One file, or those of a directory by name. */
export function readPath(name: string): readonly InputFile[] {
  if (!isDirectory(name)) return [readOne(name)];
  const paths = explainFailure(name, () => readdirSync(name))
    .filter((entry) => /\.(ya?ml|json)$/i.test(entry))
    .sort()
    .map((entry) => join(name, entry));
  const files = paths.filter((path) => !isDirectory(path)).map(readOne);
  if (files.length > 0) return files;
  throw inputError("NO_FILES", `Cannot read ${JSON.stringify(name)}: the directory has no .yaml, .yml or .json file`);
}

function isDirectory(path: string): boolean {
  return explainFailure(path, () => statSync(path)).isDirectory();
}

function readOne(path: string): InputFile {
  return { file: path, bytes: readFileBytes(path, { maxBytes: MAX_FILE_BYTES }) };
}

/** 256 MiB: rules of 100,000 endpoints take 60, and a text of more than 512 is more than a string can hold. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * A file of rules or facts that the user named, as text; `-` is stdin. Empty is a text too: iptables-save prints nothing
 * where there are no rules.
 *
 * @throws InputError FILE_UNREADABLE or FILE_TOO_LARGE
 */
export async function readText(context: CommandContext, file: string): Promise<string> {
  if (file !== "-") return readFileBytes(file, { maxBytes: MAX_TEXT_BYTES }).toString("utf8");
  const bytes = await context.readStdin({ maxBytes: MAX_TEXT_BYTES });
  if (bytes.length > MAX_TEXT_BYTES) throw tooLarge("<stdin>", MAX_TEXT_BYTES);
  return bytes.toString("utf8");
}

/**
 * The bytes of one file, read no further than `maxBytes`: a pipe or a device may never end, and tells no size.
 * Synchronous: starting the thread pool and loading fs/promises take longer than the read.
 *
 * @param options.maxBytes a whole number of MiB
 * @throws InputError FILE_UNREADABLE or FILE_TOO_LARGE
 */
function readFileBytes(path: string, { maxBytes }: { readonly maxBytes: number }): Buffer {
  return explainFailure(path, () => {
    const descriptor = openSync(path, "r");
    try {
      const { size } = fstatSync(descriptor);
      if (size > maxBytes) throw tooLarge(path, maxBytes);
      const chunks: Buffer[] = [];
      let total = 0;
      for (;;) {
        // One byte more than the size, so that a regular file is read in one go and its end is seen.
        const chunk = Buffer.allocUnsafe(Math.max(size + 1 - total, READ_CHUNK_BYTES));
        const count = readSync(descriptor, chunk);
        if (count === 0) return Buffer.concat(chunks);
        chunks.push(chunk.subarray(0, count));
        total += count;
        if (total > maxBytes) throw tooLarge(path, maxBytes);
      }
    } finally {
      closeSync(descriptor);
    }
  });
}

/** What a pipe holds at most, as Linux makes them. */
const READ_CHUNK_BYTES = 64 * 1024;

function tooLarge(path: string, maxBytes: number): InputError {
  return fileFault("FILE_TOO_LARGE", path, `Cannot read it: a file may hold ${maxBytes / 1024 / 1024} MiB`);
}

/**
 * What `read` returns; where the system refuses it, a fault that names the path.
 *
 * @throws InputError FILE_UNREADABLE
 */
export function explainFailure<Result>(path: string, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error && "code" in error)) throw error;
    const reason = READ_FAILURES[String(error.code)] ?? error.message;
    throw inputError("FILE_UNREADABLE", `Cannot read ${JSON.stringify(path)}: ${reason}`, { cause: error });
  }
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EMFILE: "too many files are open",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is not a directory",
  ELOOP: "its symbolic links go round in a circle",
  ENXIO: "it is a socket, or a device that is not there",
  ENAMETOOLONG: "the name is too long",
};
