import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, unlink, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { findLockHolder, type LockOptions, lockNamespace, tryLockNamespace } from "./namespace-lock.ts";

const PROGRAM = join(import.meta.dirname, "../testing/lock-program.ts");

async function someDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "svcproxy-lock-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

async function someLock(options: Partial<LockOptions> = {}): Promise<LockOptions> {
  const { signal } = new AbortController();
  const deed = "has been changing the rules of this network namespace";
  return { name: "test", directory: await someDirectory(), signal, waitMs: 20_000, deed, ...options };
}

function startProgram(orders: object): ChildProcess {
  const child = spawn(process.execPath, [PROGRAM, JSON.stringify(orders)], { stdio: ["ignore", "pipe", "inherit"] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  return child;
}

async function firstLine({ stdout }: ChildProcess): Promise<string> {
  if (stdout === null) throw new Error("its stdout is not a pipe");
  return String((await once(stdout, "data"))[0]).trim();
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await delay(20);
}

test("the second waits until the first lets go, and is told whom it waits for", async () => {
  const options = await someLock();
  const first = await lockNamespace(options);
  let holder: number | undefined;
  await using lock = await lockNamespace({
    ...options,
    onWait: (pid) => {
      holder = pid;
      first[Symbol.asyncDispose]();
    },
  });
  expect(lock.fd).toBeGreaterThan(2);
  expect(holder).toBe(process.pid);
});

test("whoever waits too long is told who holds it", async () => {
  const options = await someLock();
  await using _held = await lockNamespace(options);
  await expect(lockNamespace({ ...options, waitMs: 200 })).rejects.toMatchObject({
    code: "LOCKED",
    message: `Another svcproxy (pid ${process.pid}) has been changing the rules of this network namespace for 0.2 s`,
  });
});

test("a wait can be interrupted", async () => {
  const options = await someLock();
  await using _held = await lockNamespace(options);
  const abort = new AbortController();
  const waiting = lockNamespace({ ...options, signal: abort.signal, onWait: () => abort.abort() });
  await expect(waiting).rejects.toMatchObject({
    code: "INTERRUPTED",
    message: "Interrupted while waiting for another svcproxy",
  });
});

test("whoever is interrupted before there was anybody to wait for is not told of a wait", async () => {
  const interrupted = lockNamespace(await someLock({ signal: AbortSignal.abort() }));
  await expect(interrupted).rejects.toMatchObject({ code: "INTERRUPTED", message: "Interrupted" });
});

test("of many who want it, more than may wait on a connection, one has it at a time and all get it", async () => {
  const options = await someLock();
  let holders = 0;
  await Promise.all(
    Array.from({ length: 40 }, async () => {
      await using _lock = await lockNamespace(options);
      expect(++holders).toBe(1);
      await new Promise((resolve) => setImmediate(resolve));
      holders--;
    }),
  );
});

test("whoever only tries is told who has it; locks of other names are free", async () => {
  const { name, directory = "" } = await someLock();
  const first = await tryLockNamespace({ name, directory });
  if (first.kind !== "locked") throw new Error("nobody else wants it");
  expect(await tryLockNamespace({ name, directory })).toEqual({ kind: "held", pid: process.pid });
  expect(await findLockHolder({ name, directory })).toMatchObject({ pid: process.pid });
  const other = await tryLockNamespace({ name: "other", directory });
  expect(other.kind).toBe("locked");
  for (const attempt of [first, other]) if (attempt.kind === "locked") await attempt.lock[Symbol.asyncDispose]();
  expect(await findLockHolder({ name, directory })).toBeUndefined();
  expect(await readdir(join(directory, "lock"))).toEqual([]);
});

test("only this user can enter the folder, and what cleans /tmp leaves the lock", async () => {
  const { name, directory = "" } = await someLock();
  await mkdir(join(directory, "lock"), 0o755);
  const attempt = await tryLockNamespace({ name, directory });
  if (attempt.kind !== "locked") throw new Error("nobody else wants it");
  const folder = join(directory, "lock");
  const [place = ""] = await readdir(folder);
  const [socket = ""] = await readdir(join(folder, place));
  expect(place).toMatch(/^test-\d+$/);
  expect((await stat(folder)).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder, place))).mode & 0o777).toBe(0o700);
  expect((await stat(join(folder, place, socket))).mode & 0o7777).toBe(0o1600);
  await attempt.lock[Symbol.asyncDispose]();
});

test("a folder to which others may write is refused, and one whose path is too long for a socket", async () => {
  const directory = await someDirectory();
  await mkdir(join(directory, "lock"));
  await chmod(join(directory, "lock"), 0o777);
  await expect(tryLockNamespace({ name: "test", directory })).rejects.toMatchObject({
    code: "RUNTIME_DIRECTORY",
    message: expect.stringContaining("others may write to it"),
  });
  const long = join(directory, "x".repeat(90));
  await mkdir(long);
  await expect(tryLockNamespace({ name: "test", directory: long })).rejects.toMatchObject({
    code: "RUNTIME_DIRECTORY",
    message: expect.stringMatching(/its path has \d+ bytes, and that of a socket at most 107/),
  });
});

test("kill -9 frees it at once, and the next takes the place of the dead one's socket", async () => {
  const directory = await someDirectory();
  for (let round = 0; round < 3; round++) {
    const child = startProgram({ directory, kind: "take" });
    expect(await firstLine(child)).toBe("locked");
    expect(await tryLockNamespace({ name: "test", directory })).toEqual({ kind: "held", pid: child.pid });
    child.kill("SIGKILL");
    await once(child, "exit");
  }
  const attempt = await tryLockNamespace({ name: "test", directory });
  expect(attempt.kind).toBe("locked");
  if (attempt.kind === "locked") await attempt.lock[Symbol.asyncDispose]();
});

test("whoever removes a dead one's socket late does not remove the lock of who was faster", async () => {
  const directory = await someDirectory();
  const dead = startProgram({ directory, kind: "take" });
  expect(await firstLine(dead)).toBe("locked");
  const [place = ""] = await readdir(join(directory, "lock"));
  const [socket = ""] = await readdir(join(directory, "lock", place));
  dead.kill("SIGKILL");
  await once(dead, "exit");
  await using _faster = await lockNamespace(await someLock({ directory }));
  // What is left to do for one who saw the dead one's socket before.
  await expect(unlink(join(directory, "lock", place, socket))).rejects.toMatchObject({ code: "ENOENT" });
  expect(await tryLockNamespace({ name: "test", directory })).toEqual({ kind: "held", pid: process.pid });
});

test("what those left who were killed before they had it is removed, the fresh drafts of others are not", async () => {
  const { name, directory = "" } = await someLock();
  const folder = join(directory, "lock");
  await mkdir(join(folder, ".1-old"), { recursive: true, mode: 0o700 });
  await writeFile(join(folder, ".1-old", "1-old"), "");
  await utimes(join(folder, ".1-old"), 1, 1);
  await mkdir(join(folder, ".2-fresh"));
  const attempt = await tryLockNamespace({ name, directory });
  if (attempt.kind === "locked") await attempt.lock[Symbol.asyncDispose]();
  expect(await readdir(folder)).toEqual([".2-fresh"]);
});

test("a tool that inherited it keeps it although its process was killed", async () => {
  const directory = await someDirectory();
  const journal = join(directory, "journal");
  const child = startProgram({ directory, kind: "feed", journal });
  expect(await firstLine(child)).toBe("locked");
  await until(async () => (await readFile(journal, "utf8").catch(() => "")) !== "");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(await tryLockNamespace({ name: "test", directory })).toEqual({ kind: "held", pid: child.pid });
  const { signal } = new AbortController();
  const waiting = lockNamespace({ name: "test", directory, signal, waitMs: 20_000, deed: "" });
  await using _lock = await waiting;
});

test("processes that race for it and are killed at any moment are never in at the same time", {
  timeout: 300_000,
}, async () => {
  const directory = await someDirectory();
  const owner = join(directory, "owner");
  const journal = join(directory, "journal");
  await writeFile(owner, "");
  await writeFile(journal, "");
  const race = () => startProgram({ directory, kind: "race", owner, journal });
  const racers = Array.from({ length: 6 }, race);
  await until(async () => (await readFile(journal, "utf8")) !== "");
  for (let kill = 0; kill < 20; kill++) {
    await delay(50 + 150 * Math.random());
    const index = Math.floor(racers.length * Math.random());
    const victim = racers[index];
    if (victim === undefined) throw new Error("there is no such racer");
    victim.kill("SIGKILL");
    await once(victim, "exit");
    racers[index] = race();
  }
  for (const racer of racers) {
    racer.kill("SIGKILL");
    await once(racer, "exit");
  }
  const lines = (await readFile(journal, "utf8")).trim().split("\n");
  expect(lines.filter((line) => line !== "turn")).toEqual([]);
  expect(lines.length).toBeGreaterThan(20);
});
