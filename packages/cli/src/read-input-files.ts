import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileFault, type InputFile, inputError, MAX_FILE_BYTES } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/**
 * The files that arguments name: `-` is stdin, a directory stands for the YAML and JSON files right in it.
 *
 * @throws InputError FILE_UNREADABLE, FILE_TOO_LARGE, or NO_FILES for a directory without any
 */
export async function readInputFiles(context: CommandContext, names: readonly string[]): Promise<readonly InputFile[]> {
  const files: InputFile[] = [];
  for (const name of names) {
    if (name === "-") files.push({ file: "<stdin>", bytes: await context.readStdin() });
    else files.push(...readPath(name));
  }
  return files;
}

/** Synchronous: starting the thread pool and loading fs/promises take longer than the read. */
export function readPath(name: string): readonly InputFile[] {
  try {
    const status = statSync(name);
    if (!status.isDirectory()) return [readOne(name, status.size)];
    const paths = readdirSync(name)
      .filter((entry) => /\.(ya?ml|json)$/i.test(entry))
      .sort()
      .map((entry) => join(name, entry));
    const files = paths.flatMap((path) => {
      const entry = statSync(path);
      return entry.isDirectory() ? [] : [readOne(path, entry.size)];
    });
    if (files.length > 0) return files;
  } catch (error) {
    throw unreadable(name, error);
  }
  throw inputError("NO_FILES", `Cannot read ${JSON.stringify(name)}: the directory has no .yaml, .yml or .json file`);
}

function readOne(path: string, size: number): InputFile {
  if (size > MAX_FILE_BYTES) {
    throw fileFault("FILE_TOO_LARGE", path, `Cannot read ${size} bytes: a file may hold 64 MiB`);
  }
  return { file: path, bytes: readFileSync(path) };
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
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
