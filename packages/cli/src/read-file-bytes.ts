import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { fileFault, type InputError, inputError } from "@svcproxy/topology";

/**
 * The bytes of one file, read no further than `maxBytes`: a pipe or a device may never end, and tells no size.
 * Synchronous: starting the thread pool and loading fs/promises take longer than the read.
 *
 * @param options.maxBytes a whole number of MiB
 * @throws InputError FILE_UNREADABLE or FILE_TOO_LARGE
 */
export function readFileBytes(path: string, { maxBytes }: { readonly maxBytes: number }): Buffer {
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

export function tooLarge(path: string, maxBytes: number): InputError {
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
  ENOTDIR: "a part of the path is no directory",
  ELOOP: "its symbolic links go round in a circle",
  ENXIO: "it is a socket, or a device that is not there",
  ENAMETOOLONG: "the name is too long",
};
