import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { chmod, mkdir, readdir, rename, rm, rmdir, stat, unlink } from "node:fs/promises";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import { dirname, join } from "node:path";
import process from "node:process";
import { EnvironmentError } from "@svcproxy/topology";
import { outOfDescriptors, systemCode, unlessSystem } from "../tools/system-error.ts";

/** How many may wait on a connection, which takes the holder one descriptor each; more look again from time to time. */
const MAX_WAITING = 16;

/** A draft is put into its place within milliseconds; one that is as old as this has a dead maker. */
const DRAFT_LIFETIME_MS = 60_000;

/** Room for the path of a unix socket, `sun_path` less the zero behind it. */
const MAX_SOCKET_PATH_BYTES = 107;

export interface NamespaceLock extends AsyncDisposable {
  /**
   * File descriptor of the lock's socket. A tool that inherits it keeps the lock while it runs, so that what a killed process
   * started is over before the next one begins. Undefined where Node does not tell it.
   */
  readonly fd: number | undefined;
  /** Lets the process end although it has the lock. */
  unref(): void;
}

/** Who has a lock. */
export interface Holder {
  readonly pid: number | undefined;
  /** Resolves when the holder has let go or lets nobody else wait, or at the signal. @returns how long it took, in milliseconds */
  waitForEnd(signal: AbortSignal): Promise<number>;
  leave(): void;
}

/**
 * A lock as a folder that holds one socket, on which the holder listens.
 *
 * The folder is made aside, with the socket in it and listening, and renamed to its place: the kernel lets that happen only where
 * nothing or an empty folder is there, so of several who try one succeeds. A connection that is refused shows that the holder, and
 * every tool that inherited the socket, is dead: nobody will listen on this socket again. It has a name that no other socket ever
 * had, so to remove it by that name can hit no lock that was taken meanwhile, however late it comes.
 *
 * @see rename(2), ENOTEMPTY; unix(7)
 */
export class LockFolder {
  readonly #path: string;
  readonly #isOurs: boolean;

  /** @param options.isOurs whether what a dead holder left may be removed */
  constructor(path: string, { isOurs = true }: { readonly isOurs?: boolean } = {}) {
    this.#path = path;
    this.#isOurs = isOurs;
  }

  /** Removes what dead ones left. @throws EnvironmentError RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS */
  async findHolder(): Promise<Holder | undefined> {
    try {
      for (const entry of await readdir(this.#path)) {
        const path = join(this.#path, entry);
        const probed = await probe(path);
        if (probed.kind === "alive") return new ConnectedHolder(Number.parseInt(entry, 10), probed.socket);
        if (probed.kind === "dead" && this.#isOurs) await unlink(path).catch(unlessSystem("ENOENT"));
      }
    } catch (error) {
      if (systemCode(error) !== "ENOENT") throw this.#fault(error);
    }
    return undefined;
  }

  /** @returns undefined where somebody else was faster. @throws EnvironmentError RUNTIME_DIRECTORY, OUT_OF_DESCRIPTORS */
  async tryTake(): Promise<NamespaceLock | undefined> {
    const name = `${process.pid}-${randomBytes(6).toString("hex")}`;
    const draft = join(dirname(this.#path), `.${name}`);
    const lock = new HeldLock({ release: () => this.#clear() });
    let isBegun = false;
    try {
      await mkdir(draft, 0o700);
      isBegun = true;
      await lock.listen(join(draft, name));
      // Sticky: what cleans /tmp goes by the path that was listened on, and keeps a file with this mark in any case.
      await chmod(join(draft, name), 0o1600);
      await rename(draft, this.#path);
      return lock;
    } catch (error) {
      lock.abandon();
      await rm(draft, { recursive: true, force: true }).catch(() => {});
      const code = systemCode(error) ?? "";
      // Not there any more: we were stopped for so long that it was taken for a dead one's.
      if (["ENOTEMPTY", "EEXIST"].includes(code) || (isBegun && code === "ENOENT")) return undefined;
      throw this.#fault(error);
    }
  }

  /** Removes the folder unless somebody, be it a tool that inherited the lock, has it. */
  async #clear(): Promise<void> {
    const holder = await this.findHolder();
    holder?.leave();
    if (holder === undefined) await rmdir(this.#path).catch(() => {}); // one that was taken meanwhile is not empty
    await this.#clearDrafts().catch(() => {});
  }

  /** Removes what those left who were killed before they had any lock. */
  async #clearDrafts(): Promise<void> {
    const folder = dirname(this.#path);
    for (const name of await readdir(folder)) {
      const draft = join(folder, name);
      if (!name.startsWith(".") || (await stat(draft)).mtimeMs > Date.now() - DRAFT_LIFETIME_MS) continue;
      // Aside first: whoever made it and lives all the same can then no longer put it, half removed, into its place.
      const aside = `${draft}.old`;
      await rename(draft, aside);
      await rm(aside, { recursive: true });
    }
  }

  #fault(cause: unknown): unknown {
    const doing = `Cannot use the lock ${this.#path}`;
    const code = systemCode(cause);
    if (code === undefined || cause instanceof EnvironmentError) return cause;
    const reason = cause instanceof Error ? cause.message : code;
    return (
      outOfDescriptors(doing, cause) ??
      new EnvironmentError("RUNTIME_DIRECTORY", `${doing}: ${reason}`, {
        hint: "Name another folder by RUNTIME_DIRECTORY=/path (svcproxy userspace: --runtime-dir /path)",
        cause,
      })
    );
  }
}

class HeldLock implements NamespaceLock {
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();
  readonly #release: () => Promise<void>;
  #isOver = false;

  constructor({ release }: { readonly release: () => Promise<void> }) {
    this.#release = release;
    this.#server = createServer((socket) => {
      this.#waiting.add(socket);
      socket.unref();
      socket.on("error", () => {});
      socket.on("close", () => this.#waiting.delete(socket));
      socket.resume(); // else the end of one who leaves would not be seen
    });
    this.#server.maxConnections = MAX_WAITING;
  }

  async listen(path: string): Promise<void> {
    refuseLongPath(path);
    const listening = once(this.#server, "listening");
    this.#server.listen({ path, backlog: MAX_WAITING });
    await listening;
  }

  get fd(): number | undefined {
    return fdOf(this.#server);
  }

  unref(): void {
    this.#server.unref();
  }

  /** Ends listening on a lock that was not taken. */
  abandon(): void {
    this.#isOver = true;
    this.#server.close();
    for (const socket of this.#waiting) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isOver) return;
    const closed = once(this.#server, "close");
    this.abandon(); // those who wait learn it by the end of their connection
    await closed;
    await this.#release();
  }
}

class ConnectedHolder implements Holder {
  readonly pid: number | undefined;
  readonly #socket: Socket | undefined;

  /** @param pid NaN where the name tells none */
  constructor(pid: number, socket: Socket | undefined) {
    this.pid = pid > 0 ? pid : undefined;
    this.#socket = socket;
  }

  async waitForEnd(signal: AbortSignal): Promise<number> {
    const startedMs = performance.now();
    const socket = this.#socket;
    if (socket !== undefined && !socket.destroyed && !signal.aborted) {
      const ended = Promise.withResolvers<void>();
      const end = () => ended.resolve();
      signal.addEventListener("abort", end, { once: true });
      socket.on("close", end).resume();
      await ended.promise;
      signal.removeEventListener("abort", end);
    }
    this.leave();
    return performance.now() - startedMs;
  }

  leave(): void {
    this.#socket?.destroy();
  }
}

type Probe =
  /** Without a socket where so many wait that no more are let in. */
  { readonly kind: "alive"; readonly socket?: Socket } | { readonly kind: "dead" } | { readonly kind: "gone" };

async function probe(path: string): Promise<Probe> {
  refuseLongPath(path);
  const socket = createConnection(path);
  try {
    await once(socket, "connect");
    socket.on("error", () => {});
    return { kind: "alive", socket };
  } catch (error) {
    socket.destroy();
    switch (systemCode(error)) {
      case "ECONNREFUSED":
        return { kind: "dead" };
      case "ENOENT":
        return { kind: "gone" };
      case "EAGAIN":
      case "ECONNRESET": // it was there, and lets go or lets nobody else wait
        return { kind: "alive" };
      default:
        throw error;
    }
  }
}

function refuseLongPath(path: string): void {
  const length = Buffer.byteLength(path);
  if (length <= MAX_SOCKET_PATH_BYTES) return;
  throw new EnvironmentError(
    "RUNTIME_DIRECTORY",
    `Cannot use the lock ${path}: its path has ${length} bytes, and that of a socket at most ${MAX_SOCKET_PATH_BYTES}`,
    { hint: "Name a folder with a shorter path by RUNTIME_DIRECTORY=/path (svcproxy userspace: --runtime-dir /path)" },
  );
}

function fdOf(server: Server): number | undefined {
  if (!("_handle" in server)) return undefined;
  const handle = server._handle;
  if (typeof handle !== "object" || handle === null || !("fd" in handle)) return undefined;
  return typeof handle.fd === "number" && handle.fd > 2 ? handle.fd : undefined;
}
