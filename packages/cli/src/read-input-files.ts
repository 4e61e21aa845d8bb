import { readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { type InputFile, inputError, MAX_FILE_BYTES } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import { explainFailure, readFileBytes } from "./read-file-bytes.ts";

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
