import { formatCommand, formatRestoreCommands } from "@svcproxy/rules";
import { visible } from "@svcproxy/topology";
import type { Script } from "./script.ts";

/** The script for any POSIX shell: a title above each section, an empty line between two. */
export function formatShellScript({ family, sections }: Script): string {
  return sections
    .map(({ title, commands }) => {
      const lines = commands.map((command) => formatCommand(command, { family }));
      return `# ${visible(title)}\n${lines.join("\n")}\n`;
    })
    .join("\n");
}

/** The script as input for `iptables-restore --noflush`, or `ip6tables-restore`. */
export function formatRestoreScript({ family, sections }: Script): string {
  return formatRestoreCommands(
    sections.flatMap(({ commands }) => commands),
    { family },
  );
}
