import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import type { OutputChunk } from "rolldown";
import { bundle } from "./bundle.ts";
import { thirdPartyLicenses } from "./third-party-licenses.ts";

const LICENSES = "third-party-licenses.txt";

/** How long the chunks of an older build stay: a program that runs may still load one. */
const KEEP_OLD_CHUNKS_MS = 3_600_000;

/**
 * Builds the bundle into dist, or into the folder that is named.
 *
 *     node build.ts [FOLDER]
 */
const startedAtMs = performance.timeOrigin;
const dist = resolve(process.argv[2] ?? resolve(import.meta.dirname, "dist"));
const chunks = await bundle();
await mkdir(dist, { recursive: true });
// The entry is written last: whoever starts meanwhile gets the old build or the new one, each with its own chunks.
for (const chunk of chunks.toSorted((a, b) => Number(a.isEntry) - Number(b.isEntry))) await writeChunk(chunk);
await writeFile(resolve(dist, LICENSES), thirdPartyLicenses(chunks.flatMap(({ moduleIds }) => moduleIds)));
await removeOldChunks(new Set([...chunks.map(({ fileName }) => fileName), LICENSES]));

/** As old as the start of the build, so that a source that is edited meanwhile is younger. */
async function writeChunk({ fileName, code }: OutputChunk): Promise<void> {
  const unfinished = resolve(dist, `${fileName}.${process.pid}`);
  await writeFile(unfinished, code);
  await utimes(unfinished, startedAtMs / 1000, startedAtMs / 1000);
  await rename(unfinished, resolve(dist, fileName));
}

async function removeOldChunks(current: ReadonlySet<string>): Promise<void> {
  for (const name of await readdir(dist)) {
    if (current.has(name)) continue;
    const file = resolve(dist, name);
    const { mtimeMs } = await stat(file);
    if (mtimeMs < startedAtMs - KEEP_OLD_CHUNKS_MS) await rm(file, { recursive: true });
  }
}
