import type { Words } from "../match.ts";
import type { Target } from "../target.ts";
import { formatTarget } from "../text/format-target.ts";

/** A text that is equal for targets of one family that do the same. */
export function targetKey(target: Target): string {
  switch (target.kind) {
    case "log":
    case "nflog":
    case "tcpmss":
    case "checksum":
      return `${target.kind} ${sortedOptions(target.words)}`;
    case "ct":
      return `ct ${target.notrack} ${sortedOptions(target.words.filter((word) => word !== "--notrack"))}`;
    default:
      // What iptables-save prints is one spelling for each of the others.
      return formatTarget(target, { style: "save", family: 4 });
  }
}

/** syslog's names for the numbers that iptables-save prints. */
const LOG_LEVELS: ReadonlyMap<string, string> = new Map([
  ...["emerg", "alert", "crit", "error", "warning", "notice", "info", "debug"].map(
    (name, level) => [name, String(level)] as const,
  ),
  ["panic", "0"],
  ["err", "3"],
  ["warn", "4"],
]);

/** LOG's own level is left out by iptables-save. */
const DEFAULT_LOG_LEVEL = "--log-level 4";

/** Options in any order, each with its values. */
function sortedOptions(words: Words): string {
  const options: string[] = [];
  for (const word of words) {
    if (word.startsWith("--") || word === "!" || options.length === 0) options.push(word);
    else {
      const option = options.pop() ?? "";
      options.push(
        `${option} ${option === "--log-level" ? (LOG_LEVELS.get(word.toLowerCase()) ?? word) : JSON.stringify(word)}`,
      );
    }
  }
  return options
    .filter((option) => option !== DEFAULT_LOG_LEVEL)
    .sort()
    .join(" ");
}
