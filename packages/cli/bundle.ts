import { createRequire, isBuiltin } from "node:module";
import { resolve } from "node:path";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";
import { forBrowser } from "../../scripts/for-browser.ts";

/**
 * The command as JavaScript without run-time dependencies: `main.cjs`, and a chunk for what each import() loads, so that a command
 * reads what it uses; or all in `main.cjs`. CommonJS, because it starts 5 ms sooner than ES modules.
 */
export async function bundle({ inOneFile = false } = {}): Promise<readonly OutputChunk[]> {
  const build = await rolldown({
    input: resolve(import.meta.dirname, "src/main.ts"),
    platform: "node",
    plugins: [forBrowser(), loadOnFirstUse(LARGE_MODULES), dropUnusedOfYaml()],
    treeshake: { propertyReadSideEffects: false },
    transform: { target: "node22.12" },
    logLevel: "warn",
  });
  const { output } = await build.generate({
    format: "cjs",
    codeSplitting: !inOneFile,
    minify: { compress: true, mangle: { keepNames: true } },
    entryFileNames: "main.cjs",
    chunkFileNames: "[name]-[hash].cjs",
    comments: { legal: false },
  });
  await build.close();
  return output.filter((part) => part.type === "chunk");
}

/** net and the two of promises, which bring streams and readline along, take 8 ms, crypto 5, child_process 4. */
const LARGE_MODULES = [
  ...["child_process", "crypto", "dgram", "fs/promises", "http", "https", "net", "readline", "timers/promises", "tls"],
  "zlib",
];

/** These of Node's modules load when something of theirs is used, not when a module that might use it is. */
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
      const getters = Object.keys(require(name)).map((key) => `get ${key}() { return load().${key}; }`);
      return `let loaded; const load = () => (loaded ??= require("node:${name}"));
        module.exports = { ${getters.join(", ")} };`;
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
