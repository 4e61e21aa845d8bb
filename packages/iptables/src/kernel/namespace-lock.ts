import { once } from "node:events";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { EnvironmentError } from "@svcproxy/topology";

/** An abstract unix socket: its name belongs to the network namespace, as the rules do, and goes away with its process. */
const LOCK_NAME = "\0svcproxy-iptables";

/** Pause where the holder went away between our two looks, or does not answer. */
const RETRY_MS = 20;

export interface NamespaceLock extends AsyncDisposable {
  /**
   * The socket's file descriptor. A tool that inherits it keeps the lock while it runs, so that what a killed process
   * started is over before the next one begins. Undefined where Node does not tell it.
   */
  readonly fd: number | undefined;
}

export interface LockOptions {
  readonly signal: AbortSignal;
  readonly waitMs: number;
  /** Called once, with the holder's pid as far as it is known, where there is somebody to wait for. */
  readonly onWait?: (holder: number | undefined) => void;
  /** For tests that want a lock of their own. */
  readonly name?: string;
}

/**
 * Waits until no other svcproxy changes the rules of this network namespace.
 *
 * @throws EnvironmentError LOCKED when `waitMs` are over, INTERRUPTED
 */
export async function lockNamespace({ signal, waitMs, onWait, name = LOCK_NAME }: LockOptions): Promise<NamespaceLock> {
  const deadline = AbortSignal.timeout(waitMs);
  const ended = AbortSignal.any([signal, deadline]);
  let holder: number | undefined;
  let hasTold = false;
  const tellOnce = (pid: number | undefined) => {
    holder = pid ?? holder;
    if (!hasTold) onWait?.(holder);
    hasTold = true;
  };
  for (;;) {
    if (signal.aborted) {
      throw new EnvironmentError("INTERRUPTED", `Interrupted${hasTold ? " while waiting for another svcproxy" : ""}`);
    }
    if (deadline.aborted) throw locked(holder, waitMs);
    const lock = await tryLock(name);
    if (lock !== undefined) return lock;
    await waitForEnd(name, { ended, onHolder: tellOnce });
  }
}

async function tryLock(name: string): Promise<NamespaceLock | undefined> {
  const waiting = new Set<Socket>();
  const server = createServer((socket) => {
    waiting.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => waiting.delete(socket));
    socket.write(`${process.pid}\n`);
  });
  try {
    server.listen(name);
    await once(server, "listening");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EADDRINUSE") return undefined;
    throw error;
  }
  return {
    fd: fdOf(server),
    async [Symbol.asyncDispose]() {
      const closed = once(server, "close");
      server.close();
      // Those who wait learn it by the end of their connection.
      for (const socket of waiting) socket.destroy();
      await closed;
    },
  };
}

function fdOf(server: Server): number | undefined {
  if (!("_handle" in server)) return undefined;
  const handle = server._handle;
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd > 2 ? handle.fd : undefined;
}

/** Returns when the holder lets go, or when the wait is over. */
async function waitForEnd(
  name: string,
  { ended, onHolder }: { ended: AbortSignal; onHolder: (pid: number | undefined) => void },
): Promise<void> {
  const socket = createConnection(name);
  try {
    await new Promise<void>((resolve) => {
      ended.addEventListener("abort", () => resolve(), { once: true });
      socket.on("data", (data) => onHolder(Number.parseInt(data.toString(), 10) || undefined));
      socket.on("error", () => {});
      socket.on("close", () => resolve());
    });
  } finally {
    socket.destroy();
  }
  onHolder(undefined);
  await delay(RETRY_MS, undefined, { signal: ended }).catch(() => {});
}

function locked(holder: number | undefined, waitMs: number): EnvironmentError {
  const who = holder === undefined ? "Another svcproxy" : `Another svcproxy (pid ${holder})`;
  return new EnvironmentError(
    "LOCKED",
    `${who} has been changing the rules of this network namespace for ${waitMs / 1000} s`,
    {
      hint: "Wait until it is done, or end it, then try again",
    },
  );
}
