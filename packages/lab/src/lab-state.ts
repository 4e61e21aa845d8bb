import { linkSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import process from "node:process";
import { EnvironmentError, inputError } from "@svcproxy/topology";
import type { LabProcess } from "./lab-process.ts";
import { startTimeOf } from "./processes.ts";

/** A running lab as its state file describes it. */
export interface LabState extends LabProcess {
  /** ISO 8601. */
  readonly startedAt: string;
  /** What was put on the hosts: `iptables`, `userspace` or `none`. */
  readonly dataPath: string;
}

/** While a lab is being built its name is taken by the process that builds it. */
interface Claim {
  readonly claimedBy: number;
  readonly startTime: string;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;

/** @throws InputError BAD_LAB_NAME */
function checkLabName(name: string): void {
  if (NAME.test(name)) return;
  throw inputError("BAD_LAB_NAME", `Cannot name a lab ${JSON.stringify(name)}`, {
    hint: "Use up to 64 letters, digits, dots, dashes and underscores, the first a letter or digit",
  });
}

/**
 * Takes a name for a lab that is going to be built.
 *
 * @throws EnvironmentError LAB_EXISTS where a lab of this name runs or is being built
 */
export function claimLab(name: string): void {
  checkLabName(name);
  const claim: Claim = { claimedBy: process.pid, startTime: startTimeOf(process.pid) ?? "" };
  for (;;) {
    if (writeNew(statePath(name), JSON.stringify(claim))) return;
    if (isAlive(readState(name))) {
      throw new EnvironmentError("LAB_EXISTS", `A lab named ${JSON.stringify(name)} is up already`, {
        hint: `End it with: svcproxy lab down --name ${name}, or give this one another --name`,
      });
    }
    rmSync(statePath(name), { force: true }); // left by one that was killed
  }
}

/** Makes a file with its whole content at once, for readers at any moment. @returns false where it exists */
function writeNew(path: string, content: string): boolean {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, content, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (isSystemError(error, "EEXIST")) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Writes down a lab that is up, for those who look for it by name. */
export function saveLab(state: LabState): void {
  const path = statePath(state.name);
  writeFileSync(`${path}.new`, JSON.stringify(state), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

/** Gives the name back. `pid`: only if this lab still has it. */
export function forgetLab(name: string, pid?: number): void {
  const state = readState(name);
  if (pid !== undefined && state !== undefined && "pid" in state && state.pid !== pid) return;
  rmSync(statePath(name), { force: true });
}

/**
 * The lab of this name; without one, the only one that runs.
 *
 * @throws EnvironmentError NO_SUCH_LAB with those that run
 * @throws InputError LAB_NAME_REQUIRED where several run and none is named
 */
export function findLab(name: string | undefined): LabState {
  if (name !== undefined) checkLabName(name);
  const labs = listLabs();
  const running = labs.map((lab) => lab.name);
  const [found, another] = labs.filter((lab) => name === undefined || lab.name === name);
  if (found !== undefined && another === undefined) return found;
  if (found !== undefined) {
    throw inputError("LAB_NAME_REQUIRED", "Several labs are up: say which", {
      hint: `--name ${running.join(" or --name ")}`,
    });
  }
  throw new EnvironmentError(
    "NO_SUCH_LAB",
    name === undefined ? "No lab is up" : `No lab named ${JSON.stringify(name)} is up`,
    {
      hint:
        running.length === 0
          ? "Start one: svcproxy lab up"
          : `Labs that are up: ${running.join(", ")} (choose by --name)`,
    },
  );
}

/** All labs of this user that run. What is left of those that were killed is cleared away. */
export function listLabs(): readonly LabState[] {
  return readdirSync(stateFolder())
    .filter((file) => file.endsWith(".json"))
    .flatMap((file) => {
      const name = basename(file, ".json");
      const state = readState(name);
      if (!isAlive(state)) rmSync(statePath(name), { force: true });
      return state !== undefined && "pid" in state && isAlive(state) ? [state] : [];
    });
}

function isAlive(state: LabState | Claim | undefined): boolean {
  if (state === undefined) return false;
  return startTimeOf("pid" in state ? state.pid : state.claimedBy) === state.startTime;
}

/** Undefined where there is none; what an older version wrote counts as none. */
function readState(name: string): LabState | Claim | undefined {
  try {
    const state: LabState | Claim = JSON.parse(readFileSync(statePath(name), "utf8"));
    return typeof state.startTime === "string" ? state : undefined;
  } catch (error) {
    if (isSystemError(error, "ENOENT") || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function statePath(name: string): string {
  return join(stateFolder(), `${name}.json`);
}

/**
 * Where this user's labs are written down: root's below /run, others' below XDG_RUNTIME_DIR, else in /tmp.
 *
 * @throws EnvironmentError LAB_STATE_UNSAFE where the folder belongs to somebody else, who could send us anywhere
 */
function stateFolder(): string {
  const uid = process.getuid?.() ?? 0;
  const parents = uid === 0 ? ["/run"] : [process.env["XDG_RUNTIME_DIR"] ?? ""].filter((path) => path.startsWith("/"));
  for (const parent of parents) {
    const folder = join(parent, "svcproxy-labs");
    if (makeFolder(folder) && isOurs(folder, uid)) return folder;
  }
  const folder = `/tmp/svcproxy-labs-${uid}`;
  if (makeFolder(folder) && isOurs(folder, uid)) return folder;
  throw new EnvironmentError(
    "LAB_STATE_UNSAFE",
    `Cannot keep the lab's state in ${folder}: it is another user's, or others can write to it`,
    {
      hint: "Remove it, or set XDG_RUNTIME_DIR to a folder of your own",
    },
  );
}

function makeFolder(folder: string): boolean {
  try {
    mkdirSync(folder, { mode: 0o700 });
    return true;
  } catch (error) {
    return isSystemError(error, "EEXIST");
  }
}

function isOurs(folder: string, uid: number): boolean {
  const stat = lstatSync(folder);
  return stat.isDirectory() && stat.uid === uid && (stat.mode & 0o022) === 0;
}

function isSystemError(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
