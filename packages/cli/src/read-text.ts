import { readFile } from "node:fs/promises";
import { inputError } from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";

/** A file that the user named, as text; `-` is stdin. Empty is a text too: iptables-save prints nothing where there are no rules. @throws InputError FILE_UNREADABLE */
export async function readText(context: CommandContext, file: string): Promise<string> {
  if (file === "-") return (await context.readStdin()).toString("utf8");
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    if (!(error instanceof Error && "syscall" in error && "code" in error)) throw error;
    throw inputError(
      "FILE_UNREADABLE",
      `Cannot read ${JSON.stringify(file)}: ${REASONS[String(error.code)] ?? error.message}`,
      {
        cause: error,
      },
    );
  }
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
};
