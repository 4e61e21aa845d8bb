import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";

export interface BackgroundProcess extends AsyncDisposable {
  readonly pid: number;
}

const START_PATIENCE_MS = 60_000;
const STOP_PATIENCE_MS = 5_000;

/**
 * Starts a program and waits until it listens.
 *
 * @param command program and arguments; `node` is the Node that runs this
 * @throws Error with what it wrote, where it ends or does not listen in time
 */
export async function startProcess(
  command: readonly string[],
  { listensOn }: { listensOn?: { address: string; port: number } } = {},
): Promise<BackgroundProcess> {
  const [program = "", ...args] = command;
  const child = spawn(program === "node" ? process.execPath : program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  const keep = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  const exited = once(child, "exit");
  let hasExited = false;
  exited.then(
    () => {
      hasExited = true;
    },
    () => {
      hasExited = true;
    },
  );
  const deadline = Date.now() + START_PATIENCE_MS;
  while (listensOn !== undefined && !(await accepts(listensOn))) {
    if (hasExited || Date.now() > deadline) {
      child.kill("SIGKILL");
      throw new Error(`${command.join(" ")} does not listen on ${listensOn.address}:${listensOn.port}\n${output}`);
    }
    await sleep(50);
  }
  const { pid } = child;
  if (pid === undefined) throw new Error(`${program} did not start`);
  return {
    pid,
    async [Symbol.asyncDispose]() {
      if (hasExited) return;
      child.kill("SIGTERM");
      const killer = setTimeout(() => child.kill("SIGKILL"), STOP_PATIENCE_MS);
      await exited;
      clearTimeout(killer);
    },
  };
}

async function accepts({ address, port }: { address: string; port: number }): Promise<boolean> {
  const socket = connect({ host: address, port });
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Runs a program to its end. @returns what it printed @throws Error with its stderr where it fails */
export async function runProcess(command: readonly string[]): Promise<string> {
  const [program = "", ...args] = command;
  const child = spawn(program === "node" ? process.execPath : program, args, { stdio: ["ignore", "pipe", "pipe"] });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const [code] = await once(child, "close");
  if (code !== 0) throw new Error(`${command.join(" ")} ended with ${code}: ${Buffer.concat([...stderr, ...stdout])}`);
  return Buffer.concat(stdout).toString();
}
