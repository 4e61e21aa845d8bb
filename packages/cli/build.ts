import { mkdir, readdir, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createRequire, isBuiltin } from "node:module";
import { resolve } from "node:path";
import process from "node:process";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";
import { thirdPartyLicenses } from "./third-party-licenses.ts";

const LICENSES = "third-party-licenses.txt";

/** How long the chunks of an older build stay: a program that runs may still load one. */
const KEEP_OLD_CHUNKS_MS = 3_600_000;

/**
 * Builds dist, or the folder that is named: `main.cjs`, and a chunk for what each import() loads, so that a command reads what it
 * uses. No run-time dependency is left. CommonJS, because it starts 5 ms sooner than ES modules.
 *
 *     node build.ts [FOLDER]
 */
const startedAtMs = performance.timeOrigin;
const dist = resolve(process.argv[2] ?? resolve(import.meta.dirname, "dist"));
const chunks = await bundle();
await mkdir(dist, { recursive: true });
// The entry is written last: whoever starts meanwhile gets the old build or the new one, each with its own chunks.
for (const chunk of chunks.toSorted((a, b) => Number(a.isEntry) - Number(b.isEntry))) await writeChunk(chunk);
await writeFile(
  resolve(dist, LICENSES),
  thirdPartyLicenses(chunks.flatMap(({ moduleIds }) => moduleIds.filter((id) => !id.startsWith("\0")))),
);
await removeOldChunks(new Set([...chunks.map(({ fileName }) => fileName), LICENSES]));

async function bundle(): Promise<readonly OutputChunk[]> {
  const build = await rolldown({
    input: resolve(import.meta.dirname, "src/main.ts"),
    platform: "node",
    plugins: [loadOnFirstUse(["child_process", "crypto"]), dropUnusedOfYaml()],
    treeshake: { propertyReadSideEffects: false },
    transform: { target: "node22.12" },
    logLevel: "warn",
  });
  const { output } = await build.generate({
    format: "cjs",
    minify: { compress: true, mangle: { keepNames: true } },
    entryFileNames: "main.cjs",
    chunkFileNames: "[name]-[hash].cjs",
    comments: { legal: false },
  });
  await build.close();
  return output.filter((part) => part.type === "chunk");
}

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

/**
 * These of Node's modules load when something of theirs is used, not when a module that might use it is: crypto takes 5 ms (names
 * of chains are hashes), child_process 4 ms (commander has it for sub-commands that are programs of their own).
 */
function loadOnFirstUse(names: readonly string[]): Plugin {
  const prefix = "\0first-use:";
  const require = createRequire(import.meta.url);
  return {
    name: "load-on-first-use",
    resolveId(id, importer) {
      const name = id.replace(/^node:/, "");
      if (!isBuiltin(name) || !names.includes(name)) return undefined;
      return importer?.startsWith(prefix) ? { id: `node:${name}`, external: true } : `${prefix}${name}`;
    },
    load(id) {
      if (!id.startsWith(prefix)) return undefined;
      const name = id.slice(prefix.length);
      const getters = Object.keys(require(name)).map(
        (key) => `get ${key}() { return require("node:${name}").${key}; }`,
      );
      return `module.exports = { ${getters.join(", ")} };`;
    },
  };
}

/** js-yaml makes each of its schemas, and what its writer needs, when it is loaded; only what is used stays. */
function dropUnusedOfYaml(): Plugin {
  return {
    name: "drop-unused-of-yaml",
    transform(code, id) {
      if (!id.includes("/js-yaml/")) return undefined;
      return code.replace(/(?<=^var \w+ = )(?=new (?:Schema|RegExp)\(|\w+\.withTags\()/gm, "/* @__PURE__ */ ");
    },
  };
}
