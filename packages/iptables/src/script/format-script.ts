import { addingCommands, formatCommand, formatRestoreChunks } from "@svcproxy/rules";
import { visible } from "@svcproxy/topology";
import type { Script } from "./script.ts";

/** The script for any POSIX shell, piece by piece: a title above each section, an empty line between two. */
export function* formatShellScript({ family, sections }: Script): Generator<string> {
  let separator = "";
  for (const section of sections) {
    let text = "";
    for (const command of addingCommands(section)) text += `${formatCommand(command, { family })}\n`;
    if (text === "") continue;
    yield `${separator}# ${visible(section.title)}\n${text}`;
    separator = "\n";
  }
}

/** The script as input for `iptables-restore --noflush`, or `ip6tables-restore`, piece by piece. */
export function formatRestoreScript({ family, sections }: Script): Generator<string> {
  return formatRestoreChunks(sections, { family });
}
