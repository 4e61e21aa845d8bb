import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { lockNamespace, tryLockNamespace } from "./namespace-lock.ts";
import { makeRuntimeDirectory } from "./runtime-directory.ts";

const NOBODY = 65534;
const ATTACKER = join(import.meta.dirname, "../testing/lock-attacker.ts");
const { signal } = new AbortController();

/** As /run/svcproxy is: others may pass through. */
async function someRuntimeDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "svcproxy-attack-"));
  onTestFinished(() => rm(directory, { recursive: true }));
  await chmod(directory, 0o755);
  return directory;
}

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot && process.env["CI"] !== "true")(`an ordinary user${isRoot ? "" : " (needs root)"}`, () => {
  test("can neither take the lock, nor look at it, nor keep us from it", async () => {
    const directory = await someRuntimeDirectory();
    const options = { name: "rules", directory, signal, waitMs: 2_000, deed: "" };
    const held = await lockNamespace(options);
    const attacker = spawn(
      "setpriv",
      [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", process.execPath, ATTACKER, directory],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => {
      attacker.kill("SIGKILL");
    });
    expect(JSON.parse(String((await once(attacker.stdout, "data"))[0]))).toEqual([]);
    expect(await tryLockNamespace(options)).toEqual({ kind: "held", pid: process.pid });
    await held[Symbol.asyncDispose]();
    for (let turn = 0; turn < 20; turn++) {
      await using _lock = await lockNamespace(options);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(attacker.exitCode).toBeNull();
  });

  test.for([
    { what: "the runtime directory", own: (directory: string) => directory },
    { what: "the folder of the locks", own: (directory: string) => join(directory, "lock") },
  ])("who was first to make $what is refused by name, and not trusted", async ({ own }) => {
    const directory = await someRuntimeDirectory();
    await mkdir(join(directory, "lock"), 0o700);
    await chown(own(directory), NOBODY, NOBODY);
    const taking = async () =>
      tryLockNamespace({ name: "rules", directory: await makeRuntimeDirectory({ wanted: directory }) });
    await expect(taking()).rejects.toMatchObject({
      code: "RUNTIME_DIRECTORY",
      message: `Cannot use the runtime directory ${own(directory)}: it belongs to another user (uid ${NOBODY})`,
    });
  });

  test("has a lock of their own: below XDG_RUNTIME_DIR, else in /tmp, in namespaces too", async () => {
    const directory = await someRuntimeDirectory();
    const xdg = join(directory, "xdg");
    await mkdir(xdg, 0o700);
    await chown(xdg, NOBODY, NOBODY);
    const program = `
      import { makeRuntimeDirectory } from "${join(import.meta.dirname, "runtime-directory.ts")}";
      import { tryLockNamespace } from "${join(import.meta.dirname, "namespace-lock.ts")}";
      const attempt = await tryLockNamespace({ name: "test-" + process.pid });
      console.log(attempt.kind, await makeRuntimeDirectory());
      await attempt.lock?.[Symbol.asyncDispose]();`;
    const run = async (environment: NodeJS.ProcessEnv, below: readonly string[] = []) => {
      const child = spawn(
        "setpriv",
        [
          ...[`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups", ...below],
          ...[process.execPath, "--input-type=module", "-e", program],
        ],
        { stdio: ["ignore", "pipe", "inherit"], env: { PATH: process.env["PATH"], ...environment } },
      );
      return String((await once(child.stdout, "data"))[0]).trim();
    };
    expect(await run({ XDG_RUNTIME_DIR: xdg })).toBe(`locked ${xdg}/svcproxy`);
    expect(await run({ XDG_RUNTIME_DIR: "/run/user/not-there" })).toBe(`locked /tmp/svcproxy-${NOBODY}`);
    expect(await run({})).toBe(`locked /tmp/svcproxy-${NOBODY}`);
    expect(await run({ RUNTIME_DIRECTORY: `${xdg}/given:/more` })).toBe(`locked ${xdg}/given`);
    // As root of a user namespace of their own, in a network namespace of their own.
    const asOwnRoot = ["unshare", "--map-root-user", "--net"];
    expect(await run({ XDG_RUNTIME_DIR: xdg }, asOwnRoot)).toBe(`locked ${xdg}/svcproxy`);
    expect(await run({}, asOwnRoot)).toBe(`locked /tmp/svcproxy-${NOBODY}`);
  });
});
