import { renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import process from "node:process";
import { collectSnapshot, thisMachine } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";

/** Writes a snapshot of this host into a file, whole or not at all; what could not be read is told. */
export async function writeSnapshot(context: CommandContext, file: string): Promise<ExitCode> {
  const { signal } = context;
  const takenAt = new Date().toISOString();
  const { text, unread } = await collectSnapshot(thisMachine, { signal, takenAt, hostname: hostname() });
  for (const { part, because } of unread) context.note(`svcproxy: ${part} is not in the snapshot: ${because}`);
  if (file === "-") await context.print(text);
  else writeWhole(file, text);
  return 0;
}

function writeWhole(file: string, text: string): void {
  const unfinished = `${file}.${process.pid}.tmp`;
  try {
    // A pipe or a device is written to, never replaced.
    const isOther = statSync(file, { throwIfNoEntry: false })?.isFile() === false;
    writeFileSync(isOther ? file : unfinished, text, { flag: isOther ? "w" : "wx" });
    if (!isOther) renameSync(unfinished, file);
  } catch (cause) {
    rmSync(unfinished, { force: true });
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EnvironmentError("FILE_UNWRITABLE", `Cannot write ${JSON.stringify(file)}: ${reason}`, { cause });
  }
}
