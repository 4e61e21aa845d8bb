import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { nameEtcd, readEtcdSettings } from "./etcd-settings.ts";

test("the file's login goes where it was named for it, and its name is told without it", async () => {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-settings-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "password"), "secret\nno more");
  await writeFile(join(folder, "ca.pem"), "CA");
  const settingsFile = join(folder, "etcd.yaml");
  await writeFile(
    settingsFile,
    `endpoints: [a, b]\nprefix: /p\nuser: u\npasswordFile: ${folder}/password\nca: ${folder}/ca.pem\nflannelPrefix: /f/`,
  );
  const whole = readEtcdSettings({ settingsFile });
  expect(whole).toEqual({
    endpoints: [
      { host: "a", port: 2379 },
      { host: "b", port: 2379 },
    ],
    prefix: "/p",
    tls: { ca: "CA" },
    user: { name: "u", password: "secret" },
    flannelPrefix: "/f",
  });
  expect(nameEtcd(whole)).toBe("etcds://a:2379,b:2379/p");
  expect(readEtcdSettings({ settingsFile, url: "etcd:///q", flannelPrefix: "/g" })).toMatchObject({
    endpoints: whole.endpoints,
    prefix: "/q",
    flannelPrefix: "/g",
    user: { name: "u" },
  });
});

test.for([
  { flags: {}, code: "BAD_ETCD_URL" },
  { flags: { url: "etcd://a?cert=/nowhere" }, code: "BAD_ETCD_SETTINGS" },
  { flags: { url: "etcd://a?ca=/nowhere" }, code: "FILE_UNREADABLE" },
  { flags: { url: "etcd://u@a" }, code: "BAD_ETCD_SETTINGS" },
  { flags: { settingsFile: "/nowhere" }, code: "FILE_UNREADABLE" },
])("$flags is refused: $code", ({ flags, code }) => {
  expect(() => readEtcdSettings(flags)).toThrow(expect.objectContaining({ code }));
});
