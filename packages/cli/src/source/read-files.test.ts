import { mkdtempSync, rmSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

const folder = mkdtempSync(join(tmpdir(), "svcproxy-text-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const large = join(folder, "large.rules");
writeFileSync(large, "");
truncateSync(large, 256 * 1024 * 1024 + 1);
symlinkSync("circle", join(folder, "circle"));

test.for([
  { name: "a file that is not there", path: join(folder, "none"), words: "there is no such file [FILE_UNREADABLE]" },
  { name: "a directory", path: folder, words: "it is a directory [FILE_UNREADABLE]" },
  { name: "links in a circle", path: join(folder, "circle"), words: "go round in a circle [FILE_UNREADABLE]" },
  { name: "a file above 256 MiB", path: large, words: "a file may hold 256 MiB [FILE_TOO_LARGE]" },
  { name: "a device that never ends", path: "/dev/zero", words: "a file may hold 256 MiB [FILE_TOO_LARGE]" },
])("rules from $name are refused with the reason", async ({ path, words }) => {
  const { exitCode, stderr } = await runInMemory(["prove", "--same", path, path]);
  expect([exitCode, stderr]).toEqual([2, expect.stringContaining(words)]);
});
