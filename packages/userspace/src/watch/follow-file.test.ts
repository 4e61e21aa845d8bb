import { mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";
import { FollowedFile, type FollowFileOptions } from "./follow-file.ts";

test("a file written in place is read again", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, "one");
  const seen = await follow(file);
  await writeFile(file, "two");
  await seen.untilTexts(["two"]);
});

test("a file replaced by rename is read again, more than once", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await replace(file, "one");
  const seen = await follow(file);
  await replace(file, "two");
  await seen.untilTexts(["two"]);
  await replace(file, "three");
  await seen.untilTexts(["two", "three"]);
});

test("a ConfigMap volume's swap of ..data is seen, and the next one too", async () => {
  const folder = await temporaryFolder();
  const fill = async (version: string) => {
    await mkdir(join(folder, version));
    await writeFile(join(folder, version, "topology.yaml"), version);
    await symlink(version, join(folder, "..data_tmp"));
    await rename(join(folder, "..data_tmp"), join(folder, "..data"));
  };
  await fill("..2026_1");
  await symlink("..data/topology.yaml", join(folder, "topology.yaml"));
  const seen = await follow(join(folder, "topology.yaml"));
  await fill("..2026_2");
  await seen.untilTexts(["..2026_2"]);
  await rm(join(folder, "..2026_1"), { recursive: true });
  await fill("..2026_3");
  await seen.untilTexts(["..2026_2", "..2026_3"]);
});

test("behind a link to a folder, the file in the new folder is followed", async () => {
  const folder = await temporaryFolder();
  for (const release of ["a", "b"]) {
    await mkdir(join(folder, release));
    await writeFile(join(folder, release, "topology.yaml"), release);
  }
  await symlink("a", join(folder, "current"));
  const seen = await follow(join(folder, "current", "topology.yaml"));
  await symlink("b", join(folder, "next"));
  await rename(join(folder, "next"), join(folder, "current"));
  await seen.untilTexts(["b"]);
  await writeFile(join(folder, "b", "topology.yaml"), "b, edited");
  await seen.untilTexts(["b", "b, edited"]);
});

test("a file that is touched but says the same is not reported", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, "same");
  const seen = await follow(file);
  await replace(file, "same");
  await replace(file, "other");
  await seen.untilTexts(["other"]);
});

test("a file that is removed is reported once, and followed again when it is back", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, "one");
  const seen = await follow(file, { pollMs: 20 });
  await rm(file);
  await vi.waitFor(() => expect(seen.onUnreadable).toHaveBeenCalledOnce());
  await writeFile(file, "two");
  await seen.untilTexts(["two"]);
  expect(seen.onUnreadable).toHaveBeenCalledOnce();
});

test("a folder that is removed and made anew is found by the poll", async () => {
  const folder = join(await temporaryFolder(), "config");
  const file = join(folder, "topology.yaml");
  await mkdir(folder);
  await writeFile(file, "one");
  const seen = await follow(file, { pollMs: 20 });
  await rm(folder, { recursive: true });
  await mkdir(folder);
  await writeFile(file, "two");
  await seen.untilTexts(["two"]);
});

test("in a folder, files that come, change and go are seen", async () => {
  const folder = await temporaryFolder();
  const seen = await follow(folder);
  await writeFile(join(folder, "a.yaml"), "one");
  await seen.untilTexts(["a.yaml\x003\0one"]);
  await replace(join(folder, "a.yaml"), "three");
  await vi.waitFor(() => expect(seen.texts.at(-1)).toBe("a.yaml\x005\0three"));
  await rm(join(folder, "a.yaml"));
  await vi.waitFor(() => expect(seen.texts.at(-1)).toBe(""));
});

test("many writes in a burst end in the last text, and no call overlaps another", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, "start");
  let running = 0;
  let overlaps = 0;
  const seen = await follow(file, {
    pollMs: 20,
    onText: async () => {
      if (++running > 1) overlaps++;
      await new Promise((resolve) => setTimeout(resolve, 5));
      running--;
    },
  });
  for (let round = 0; round <= 100; round++) await replace(file, `text ${round}`);
  await vi.waitFor(() => expect(seen.texts.at(-1)).toBe("text 100"));
  expect(overlaps).toBe(0);
});

test("nothing is reported after close", async () => {
  const folder = await temporaryFolder();
  const file = join(folder, "topology.yaml");
  await writeFile(file, "one");
  const seen = await follow(file);
  await seen.file.close();
  await writeFile(file, "two");
  await new Promise((resolve) => setTimeout(resolve, 60));
  expect(seen.texts).toEqual([]);
});

interface FollowTestOptions extends Partial<Omit<FollowFileOptions, "onChange">> {
  readonly onText?: () => Promise<void>;
}

async function follow(path: string, { onText, ...options }: FollowTestOptions = {}) {
  const texts: string[] = [];
  const onUnreadable = vi.fn();
  const file = new FollowedFile(path, {
    settleMs: 20,
    ...options,
    onChange: async (bytes) => {
      texts.push(bytes.toString());
      await onText?.();
    },
    onUnreadable,
  });
  onTestFinished(() => file.close());
  await file.ready;
  return {
    file,
    texts,
    onUnreadable,
    untilTexts: (expected: readonly string[]) =>
      vi.waitFor(() => expect(texts).toEqual(expected), { timeout: 10_000, interval: 10 }),
  };
}

async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "svcproxy-watch-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}
