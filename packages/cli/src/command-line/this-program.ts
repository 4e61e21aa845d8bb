import { isAbsolute, resolve } from "node:path";
import process from "node:process";
import { isSea } from "node:sea";
import manifest from "../../package.json" with { type: "json" };

export const version: string = manifest.version;

/** The program and arguments that start this program again, for processes of its own and for systemd units. */
export function ownProgram(): readonly [string, ...string[]] {
  if (isSea()) return startedBy() ?? [process.execPath];
  const [, script = ""] = process.argv;
  return [process.execPath, ...process.execArgv, isAbsolute(script) ? script : resolve(script)];
}

/** Set where this program was started by a loader of another root: how, as a JSON list. */
export const STARTED_BY = "SVCPROXY_STARTED_BY";

function startedBy(): readonly [string, ...string[]] | undefined {
  const told: unknown = JSON.parse(process.env[STARTED_BY] ?? "null");
  if (!Array.isArray(told) || !told.every((word) => typeof word === "string")) return undefined;
  const [first, ...rest] = told;
  return first === undefined ? undefined : [first, ...rest];
}

/** The same command line, for a process that continues in the place of this one. */
export function takingOver(argv: readonly string[]): readonly string[] {
  return argv.includes("--take-over") ? argv : [...argv, "--take-over"];
}

/** How the user called it, for commands that they can copy. */
export function commandName(): string {
  const script = process.argv[1] ?? "svcproxy";
  return /\/packages\/cli\/(src|bin)\/[^/]+$/.test(script) ? "scripts/svcproxy" : "svcproxy";
}
