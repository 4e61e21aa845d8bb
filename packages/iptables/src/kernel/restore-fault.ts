import type { ToolOutput } from "@svcproxy/host";
import { type EnvironmentCode, EnvironmentError, visible } from "@svcproxy/topology";
import { RestoreRefused } from "./rule-tables.ts";
import { formatChange, type TableChange } from "./table-change.ts";

interface KnownFault {
  readonly pattern: RegExp;
  readonly code: EnvironmentCode;
  readonly reason: string;
  readonly hint?: string;
  readonly isPassing?: boolean;
}

/** What iptables of either variant says for the faults that people meet. */
const KNOWN_FAULTS: readonly KnownFault[] = [
  {
    pattern: /can't open lock file .*Read-only file system/is,
    code: "LOCK_FILE_READ_ONLY",
    reason: "iptables cannot write its lock file, because the file system is read-only",
    hint: "Mount a writable /run, or name another file for it: XTABLES_LOCKFILE=/path/xtables.lock",
  },
  {
    pattern: /can't open lock file/i,
    code: "LOCK_FILE_UNWRITABLE",
    reason: "iptables cannot open its lock file",
    hint: "Run it as root, or name another file for it: XTABLES_LOCKFILE=/path/xtables.lock",
  },
  {
    pattern: /holding the xtables lock/i,
    code: "XTABLES_LOCKED",
    reason: "another program kept the xtables lock all the time that we waited",
    hint: "See who has /run/xtables.lock open (fuser /run/xtables.lock), then try again",
  },
  {
    pattern: /you must be root|Permission denied|Operation not permitted/i,
    code: "NEEDS_ROOT",
    reason: "this needs root (CAP_NET_ADMIN in the network namespace)",
    hint: "Try it with sudo",
  },
  {
    pattern:
      /Table does not exist|can't initialize ip6?tables table|unable to initialize table|Failed to initialize nft|CHAIN_ADD failed \((?:No such file or directory|Protocol not supported)\)/i,
    code: "NO_TABLE",
    reason: "this kernel does not have the table",
    hint: "Load its module (modprobe iptable_nat for iptables-legacy, nft_chain_nat for iptables-nft), or try the other --variant",
  },
  {
    pattern: /is incompatible, use 'nft' tool|CHAIN_ADD failed \(Operation not supported\)/i,
    code: "TABLE_INCOMPATIBLE",
    reason: "the table holds native nftables chains or rules that iptables cannot handle",
    hint: "Move these rules to an nftables table of their own, or try --variant legacy",
  },
  {
    pattern: /Resource temporarily unavailable|Interrupted system call|Device or resource busy/i,
    code: "RESTORE_REFUSED",
    reason: "another program was at the table at the same time",
    isPassing: true,
  },
];

/** The error for a change that iptables-restore did not take. */
export function restoreFault(tool: string, change: TableChange, output: ToolOutput): RestoreRefused {
  const doing = `Cannot change table ${change.table} (IPv${change.family})`;
  const known = knownFault(output.stderr);
  if (known !== undefined) {
    return new RestoreRefused(known.code, `${doing}: ${known.reason}`, known);
  }
  const refusedLine = findRefusedLine(change, output.stderr);
  const quoted = refusedLine === undefined ? "" : ` (that is: ${visible(refusedLine)})`;
  return new RestoreRefused("RESTORE_REFUSED", `${doing}: ${tool} refused it: ${said(output)}${quoted}`, {
    refusedLine,
  });
}

/** The error for rules that could not be read. */
export function saveFault(tool: string, output: ToolOutput): EnvironmentError {
  const known = knownFault(output.stderr);
  return known === undefined
    ? new EnvironmentError("SAVE_FAILED", `Cannot read the rules: ${tool} failed: ${said(output)}`)
    : new EnvironmentError(known.code, `Cannot read the rules: ${known.reason}`, known);
}

export function knownFault(stderr: string): KnownFault | undefined {
  return KNOWN_FAULTS.find(({ pattern }) => pattern.test(stderr));
}

/** The tool's own words on one line. */
function said({ stderr, exitCode }: ToolOutput): string {
  const lines = stderr
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("Try `") && !line.startsWith("#"));
  return lines.length === 0 ? `exit code ${exitCode}` : visible(lines.join(" "));
}

function findRefusedLine(change: TableChange, stderr: string): string | undefined {
  const number = /\bline:? (\d+)/.exec(stderr)?.[1];
  const line = number === undefined ? undefined : formatChange(change).split("\n")[Number(number) - 1];
  return line === "" || line === "COMMIT" ? undefined : line;
}
