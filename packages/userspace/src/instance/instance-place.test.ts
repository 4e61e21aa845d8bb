import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { instancePlace } from "./instance-place.ts";

test("the folder is made with its parents, for this user alone", async () => {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const { controlPath } = await instancePlace({ runtimeDirectory: join(folder, "a/b") });
  expect((await stat(dirname(controlPath))).mode & 0o777).toBe(0o700);
});

test("a folder that cannot be made is a fault, not a wait for ever", async () => {
  await expect(instancePlace({ runtimeDirectory: "/proc/x/y" })).rejects.toMatchObject({ code: "RUNTIME_DIRECTORY" });
});
