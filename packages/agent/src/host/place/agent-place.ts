import { existsSync } from "node:fs";
import { readFile, readlink } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import {
  findLockHolder,
  findRuntimeDirectory,
  lockNamespace,
  makeRuntimeDirectory,
  type NamespaceLock,
  runtimeDirectories,
  tryLockNamespace,
} from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";

/** The lock that makes an agent the only one of its network namespace. */
const AGENT_LOCK = "agent";

/** Makes this process the agent of its network namespace. @throws EnvironmentError ALREADY_RUNNING */
export async function lockHost(directory: string): Promise<HostPlace> {
  return HostPlace.take(directory, { takesOver: false });
}

/** An agent that was told that another one serves in its place lets go within this time. */
const SUCCESSION_MS = 20_000;

/** The place of the only agent of a network namespace. */
export class HostPlace implements AsyncDisposable {
  /** Who has it still. */
  readonly predecessorPid: number | undefined;
  readonly #directory: string;
  #lock: NamespaceLock | undefined;

  private constructor(
    directory: string,
    { lock, predecessorPid }: { readonly lock?: NamespaceLock; readonly predecessorPid?: number },
  ) {
    this.#directory = directory;
    this.#lock = lock;
    this.predecessorPid = predecessorPid;
  }

  /** @param takesOver whether to begin beside an agent that runs @throws EnvironmentError ALREADY_RUNNING */
  static async take(directory: string, { takesOver }: { readonly takesOver: boolean }): Promise<HostPlace> {
    const attempt = await tryLockNamespace({ name: AGENT_LOCK, directory });
    if (attempt.kind === "locked") return new HostPlace(directory, { lock: attempt.lock });
    if (takesOver && attempt.pid !== undefined) return new HostPlace(directory, { predecessorPid: attempt.pid });
    throw anotherAgent(attempt.pid);
  }

  /** Tells the predecessor that all is served without it, and has its place once it has let go. @throws EnvironmentError LOCKED */
  async succeed(signal: AbortSignal): Promise<void> {
    if (this.predecessorPid === undefined || this.#lock !== undefined) return;
    tell(this.predecessorPid);
    const lock = { name: AGENT_LOCK, directory: this.#directory, deed: "has kept its place" };
    this.#lock = await lockNamespace({ ...lock, signal, waitMs: SUCCESSION_MS });
  }

  /** Takes the lock anew where somebody removed it. @returns who has the place by now, where it is another */
  async keep(): Promise<number | undefined> {
    if (this.#lock === undefined) return undefined;
    const attempt = await tryLockNamespace({ name: AGENT_LOCK, directory: this.#directory });
    if (attempt.kind === "held") return attempt.pid === process.pid ? undefined : attempt.pid;
    const lost = this.#lock;
    this.#lock = attempt.lock;
    await lost[Symbol.asyncDispose]();
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lock?.[Symbol.asyncDispose]();
  }
}

/** What an agent takes as: another one serves in your place. */
export const SUCCEEDED_SIGNAL = "SIGUSR2";

function tell(pid: number): void {
  try {
    process.kill(pid, SUCCEEDED_SIGNAL);
  } catch (error) {
    // It has ended meanwhile.
    if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
  }
}

function anotherAgent(pid: number | undefined): EnvironmentError {
  const who = pid === undefined ? "another process" : `pid ${pid}`;
  return new EnvironmentError("ALREADY_RUNNING", `Cannot start: ${who} runs svcproxy run in this network namespace`, {
    hint: "svcproxy status shows how it stands; stop it first, or take its place with --take-over",
  });
}

/**
 * Makes sure that no agent of this user keeps this network namespace: it would undo what is done beside it.
 *
 * @param doing what is to be done, for instance `clean up`
 * @param hint what to do instead
 * @throws EnvironmentError ALREADY_RUNNING
 */
export async function refuseBesideAgent(doing: string, hint = "Stop it first"): Promise<void> {
  const holder = await findAgent();
  if (holder === undefined) return;
  const who = holder.pid === undefined ? "another process" : `pid ${holder.pid}`;
  throw new EnvironmentError(
    "ALREADY_RUNNING",
    `Cannot ${doing}: ${who} runs svcproxy run here and keeps what there is`,
    { hint },
  );
}

/** Whether an agent of this user keeps this network namespace. */
export async function isAgentRunning(): Promise<boolean> {
  return (await findAgent()) !== undefined;
}

async function findAgent(): Promise<{ readonly pid: number | undefined } | undefined> {
  const directory = await findRuntimeDirectory();
  return directory === undefined ? undefined : findLockHolder({ name: AGENT_LOCK, directory });
}

/** Of an agent of root, which others may ask if it lets them. */
const DIRECTORY_OF_ROOT = "/run/svcproxy";

/** The socket of the agent that this user means: their own, else root's. */
export async function agentSocketToAsk(): Promise<string> {
  const own = await findRuntimeDirectory();
  const name = await socketName();
  const [likeliest = DIRECTORY_OF_ROOT] = runtimeDirectories();
  for (const directory of [...(own === undefined ? [] : [own]), DIRECTORY_OF_ROOT]) {
    const path = join(directory, name);
    if (existsSync(path)) return path;
  }
  return join(own ?? likeliest, name);
}

/**
 * The path of an agent's socket: `agent.sock` in the machine's own network namespace, that of the first process, and one with the
 * namespace's number in any other.
 */
export async function agentSocketPath(directory: string): Promise<string> {
  return join(directory, await socketName());
}

/** Where an agent remembers, for the next one of this network namespace, what it keeps of entries that are refused. */
export async function lastGoodPath(): Promise<string> {
  const directory = await makeRuntimeDirectory();
  return join(directory, (await socketName()).replace(/\.sock$/, "-last-good.json"));
}

async function socketName(): Promise<string> {
  const [own = 0, first] = await Promise.all(["self", "1"].map(readNamespace));
  // Where nobody may look at the first process, its namespace is one of those that the kernel numbers while it boots.
  const isFirst = first === undefined ? own < FIRST_AFTER_BOOT : own === first;
  return isFirst ? "agent.sock" : `agent-${own}.sock`;
}

/** @see include/linux/proc_ns.h, PROC_DYNAMIC_FIRST, and what is made before the first process runs */
const FIRST_AFTER_BOOT = 0xf0000000 + 200;

async function readNamespace(process: string): Promise<number | undefined> {
  const number = /\d+/.exec(await readlink(`/proc/${process}/ns/net`).catch(() => ""))?.[0];
  return number === undefined ? undefined : Number(number);
}

/**
 * The number of a group.
 *
 * @param group a name of /etc/group, or a number
 * @throws EnvironmentError NO_SUCH_GROUP
 */
export async function groupId(group: string): Promise<number> {
  if (/^\d+$/.test(group)) return Number(group);
  const groups = await readFile("/etc/group", "utf8").catch(() => "");
  const line = groups.split("\n").find((text) => text.startsWith(`${group}:`));
  const id = line?.split(":")[2];
  if (id !== undefined && /^\d+$/.test(id)) return Number(id);
  throw new EnvironmentError(
    "NO_SUCH_GROUP",
    `Cannot let group ${JSON.stringify(group)} ask the agent: there is none`,
    {
      hint: `Make it: groupadd --system ${group}, or give another one with --socket-group`,
    },
  );
}
