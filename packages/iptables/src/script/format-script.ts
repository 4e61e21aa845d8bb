import { formatCommand, formatRestoreChunks, type RestoreCommand } from "@svcproxy/rules";
import { visible } from "@svcproxy/topology";
import type { Script } from "./script.ts";

/** The script for any POSIX shell, piece by piece: a title above each section, an empty line between two. */
export function* formatShellScript({ family, sections }: Script): Generator<string> {
  let separator = "";
  for (const { title, commands } of sections) {
    let text = "";
    for (const command of commands) text += `${formatCommand(command, { family })}\n`;
    if (text === "") continue;
    yield `${separator}# ${visible(title)}\n${text}`;
    separator = "\n";
  }
}

/** The script as input for `iptables-restore --noflush`, or `ip6tables-restore`, piece by piece. */
export function formatRestoreScript({ family, sections }: Script): Generator<string> {
  const commands: Iterable<RestoreCommand> = {
    *[Symbol.iterator]() {
      for (const section of sections) yield* section.commands;
    },
  };
  return formatRestoreChunks(commands, { family });
}
