import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { expect, onTestFinished, test } from "vitest";
import {
  findRuntimeDirectory,
  makePrivateFolder,
  makeRuntimeDirectory,
  runtimeDirectories,
} from "./runtime-directory.ts";

const uid = process.getuid?.() ?? 0;

async function someFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  return folder;
}

test.for([
  { name: "what the service manager gave", environment: { RUNTIME_DIRECTORY: "/run/a:/run/b" }, first: "/run/a" },
  { name: "an empty one counts for nothing", environment: { RUNTIME_DIRECTORY: "" }, first: undefined },
  { name: "a relative XDG_RUNTIME_DIR counts for nothing", environment: { XDG_RUNTIME_DIR: "x" }, first: undefined },
])("$name", ({ environment, first }) => {
  const usual = uid === 0 ? "/run/svcproxy" : `/tmp/svcproxy-${uid}`;
  expect(runtimeDirectories({ environment })[0]).toBe(first ?? usual);
});

test("a program's own folder is below what follows from user and environment, not below what it was given", () => {
  const below = "userspace";
  const environment = { XDG_RUNTIME_DIR: "/run/user/7" };
  expect(runtimeDirectories({ environment, below })).toEqual([
    ...(uid === 0 ? ["/run/svcproxy/userspace"] : []),
    "/run/user/7/svcproxy/userspace",
    `/tmp/svcproxy-${uid}/userspace`,
  ]);
  expect(runtimeDirectories({ environment: { RUNTIME_DIRECTORY: "/run/a" }, below })).toEqual(["/run/a"]);
  expect(runtimeDirectories({ wanted: "/b", below })).toEqual(["/b"]);
});

test("it is made with its parents, for this user alone", async () => {
  const wanted = join(await someFolder(), "a/b");
  expect(await findRuntimeDirectory({ wanted })).toBeUndefined();
  expect(await makeRuntimeDirectory({ wanted })).toBe(wanted);
  expect(await makeRuntimeDirectory({ wanted })).toBe(wanted);
  expect((await stat(wanted)).mode & 0o777).toBe(0o700);
  expect(await findRuntimeDirectory({ wanted })).toBe(wanted);
});

test("a private folder that others could look into is theirs no more; one that they could write to is refused", async () => {
  const folder = await someFolder();
  await mkdir(join(folder, "open"), 0o755);
  await makePrivateFolder(join(folder, "open"));
  expect((await stat(join(folder, "open"))).mode & 0o777).toBe(0o700);
  await mkdir(join(folder, "writable"));
  await chmod(join(folder, "writable"), 0o770);
  await expect(makePrivateFolder(join(folder, "writable"))).rejects.toMatchObject({ code: "RUNTIME_DIRECTORY" });
});

test.for([
  { name: "a file is in its place", path: "file", says: "it is not a folder" },
  { name: "a link leads to a file", path: "link", says: "it is not a folder" },
  { name: "a folder on the way is a file", path: "file/x", says: "ENOTDIR" },
])("where $name it is a fault that says so", async ({ path, says }) => {
  const folder = await someFolder();
  await writeFile(join(folder, "file"), "");
  await symlink(join(folder, "file"), join(folder, "link"));
  await expect(makeRuntimeDirectory({ wanted: join(folder, path) })).rejects.toMatchObject({
    code: "RUNTIME_DIRECTORY",
    message: expect.stringContaining(says),
  });
});

test("a link of ours to a folder of ours is followed, as systemd makes one", async () => {
  const folder = await someFolder();
  await mkdir(join(folder, "private"), 0o700);
  await symlink("private", join(folder, "svcproxy"));
  expect(await makeRuntimeDirectory({ wanted: join(folder, "svcproxy") })).toBe(join(folder, "svcproxy"));
});
