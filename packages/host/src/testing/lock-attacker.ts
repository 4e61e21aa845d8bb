import { mkdir, readdir, rename, rm, symlink } from "node:fs/promises";
import { connect, createServer } from "node:net";
import { join } from "node:path";
import process from "node:process";

/** Bounds of the attack. */
const CONNECTIONS = 500;
const ABSTRACT_NAMES = ["\0svcproxy-iptables", "\0svcproxy-userspace/default", "\0svcproxy-rules"];

/**
 * What an ordinary user of the machine can try against the lock below a runtime directory: to look, to take it, to put something in its
 * place, to flood it. Says which attempts the kernel let through, as a JSON list, and goes on trying until it is killed.
 */
async function main(runtimeDirectory: string): Promise<void> {
  // Anybody can have these. They are of no use any more.
  for (const name of ABSTRACT_NAMES)
    createServer(() => {})
      .on("error", () => {})
      .listen(name);
  const succeeded = await attack(runtimeDirectory);
  process.stdout.write(`${JSON.stringify(succeeded)}\n`);
  for (;;) {
    await attack(runtimeDirectory);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

async function attack(runtimeDirectory: string): Promise<readonly string[]> {
  const folder = join(runtimeDirectory, "lock");
  const attempts: Readonly<Record<string, () => Promise<unknown>>> = {
    "look into the folder": () => readdir(folder),
    "take the lock": () => mkdir(join(folder, "rules-1")),
    "listen in the folder": () => listen(join(folder, "x")),
    "move the folder away": () => rename(folder, `${folder}-away`),
    "remove the folder": () => rm(folder, { recursive: true }),
    "put a folder in its place": () => symlink("/tmp", join(runtimeDirectory, "lock")),
    "connect to the lock": () => flood(join(folder, "rules-1", "1-000000000000")),
  };
  const succeeded: string[] = [];
  for (const [name, attempt] of Object.entries(attempts)) {
    const isDone = await attempt().then(
      () => true,
      // That there is no such file would mean that the way to it is open.
      (error: unknown) => error instanceof Error && "code" in error && error.code === "ENOENT",
    );
    if (isDone) succeeded.push(name);
  }
  return succeeded;
}

function listen(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    createServer().on("error", reject).listen(path, resolve);
  });
}

async function flood(path: string): Promise<void> {
  await Promise.any(
    Array.from(
      { length: CONNECTIONS },
      () =>
        new Promise<void>((resolve, reject) => {
          connect(path, resolve).on("error", reject);
        }),
    ),
  ).catch(({ errors }: AggregateError) => {
    throw errors[0];
  });
}

await main(process.argv[2] ?? "");
