import { fork } from "node:child_process";
import { once } from "node:events";
import { chmod, chown, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test } from "vitest";
import { claimInstance, queryInstance } from "../instance.ts";

const NOBODY = 65534;
const PROGRAM = new URL("../testing/instance-program.ts", import.meta.url);
const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot && process.env["CI"] !== "true")(
  `root sees the instance of the unit's own user, and does not start beside it${isRoot ? "" : " (needs root)"}`,
  async () => {
    // As systemd makes it: only root can write above, and the folder is the user's.
    const parent = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
    onTestFinished(() => rm(parent, { recursive: true }));
    await chmod(parent, 0o755);
    const runtimeDirectory = join(parent, "userspace");
    await mkdir(runtimeDirectory, 0o755);
    await chown(runtimeDirectory, NOBODY, NOBODY);
    const place = { runtimeDirectory };
    const child = fork(PROGRAM, [JSON.stringify({ place, services: [], workers: 1 })], {
      ...{ execArgv: [], uid: NOBODY, gid: NOBODY },
    });
    onTestFinished(() => {
      child.kill("SIGKILL");
    });
    expect((await once(child, "message"))[0]).toBe("serving");
    await expect(claimInstance(place)).rejects.toMatchObject({
      code: "ALREADY_RUNNING",
      message: `Cannot start: pid ${child.pid} (uid ${NOBODY}) runs svcproxy userspace in this network namespace`,
    });
    expect(await queryInstance(place)).toMatchObject({ state: "running" });
    child.kill("SIGKILL");
    await once(child, "exit");
    await expect(claimInstance(place)).rejects.toMatchObject({ code: "RUNTIME_DIRECTORY" });
  },
);
