import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, utimesSync, writeFileSync } from "node:fs";
import { createRequire, isBuiltin } from "node:module";
import { resolve } from "node:path";
import process from "node:process";
import { type OutputChunk, type Plugin, rolldown } from "rolldown";

/**
 * Builds dist/svcproxy.cjs: one file, no run-time dependency, quick to start.
 *
 * What a command does not use it does not pay for: the bundler splits at every dynamic import(), and the chunks ride in the
 * one file as comments, which V8 skips over many times faster than it parses code. Each is a script of its own, whose compiled
 * code the loader keeps between runs. CommonJS, because it starts 5 ms sooner.
 */
const startedAt = new Date(performance.timeOrigin);
const COMMENT_END = "*/\n";
const outfile = resolve(import.meta.dirname, "dist/svcproxy.cjs");
const chunks = await bundle();
mkdirSync(resolve(outfile, ".."), { recursive: true });
// Whoever runs it meanwhile has the old one, and a source that is edited meanwhile is younger.
const unfinished = `${outfile}.${process.pid}`;
writeFileSync(unfinished, pack(chunks), { mode: 0o755 });
utimesSync(unfinished, startedAt, startedAt);
renameSync(unfinished, outfile);

async function bundle(): Promise<readonly OutputChunk[]> {
  const build = await rolldown({
    input: resolve(import.meta.dirname, "src/main.ts"),
    platform: "node",
    plugins: [builtins({ lazy: ["child_process", "crypto", "http", "net", "os", "worker_threads"] }), pureSchemas()],
    treeshake: { propertyReadSideEffects: false },
    transform: {
      target: "node22.12",
      define: {
        "import.meta.url": "bundleUrl",
        "import.meta.dirname": "__dirname",
        "import.meta.filename": "__filename",
      },
    },
    logLevel: "warn",
  });
  const { output } = await build.generate({
    format: "cjs",
    dynamicImportInCjs: false,
    minify: { compress: true, mangle: { keepNames: true } },
    entryFileNames: "main.cjs",
    chunkFileNames: "[name]-[hash].cjs",
    comments: { legal: false },
  });
  await build.close();
  return output.filter((part) => part.type === "chunk");
}

/**
 * Node's own modules, without the bundler's wrapper, which copies every property of a module at each place that imports it.
 * Its larger ones load when something of theirs is first used, not when a module that might use it is: crypto takes 10 ms,
 * child_process (which commander has for sub-commands that are programs of their own) 5 ms.
 */
function builtins({ lazy }: { lazy: readonly string[] }): Plugin {
  const prefix = "\0builtin:";
  const require = createRequire(import.meta.url);
  return {
    name: "builtins",
    resolveId(id, _importer, { kind }) {
      const name = id.replace(/^node:/, "");
      if (!isBuiltin(name)) return undefined;
      if (kind === "import-statement" || lazy.includes(name)) return `${prefix}${name}`;
      return { id: `node:${name}`, external: true };
    },
    load(id) {
      if (!id.startsWith(prefix)) return undefined;
      const name = id.slice(prefix.length);
      const exported = Object.keys(require(name)).filter((key) => /^[A-Za-z_$][\w$]*$/.test(key) && key !== "default");
      const load = `nodeRequire(${JSON.stringify(`node:${name}`)})`;
      if (lazy.includes(name)) {
        return `module.exports = { ${exported.map((key) => `get ${key}() { return ${load}.${key}; }`).join(", ")} };`;
      }
      const names = exported.map((key) => `const $${key} = builtin.${key};\nexport { $${key} as ${key} };`);
      return {
        code: `const builtin = ${load};\nexport default builtin;\n${names.join("\n")}`,
        moduleSideEffects: false,
      };
    },
  };
}

/** js-yaml builds every schema that it offers when it is loaded; reading needs two of five. */
function pureSchemas(): Plugin {
  return {
    name: "pure-schemas",
    transform(code, id) {
      if (!id.includes("/js-yaml/")) return undefined;
      return code.replace(/(?<=^var \w+ = )(?=new Schema\(|\w+\.withTags\()/gm, "/* @__PURE__ */ ");
    },
  };
}

/** The loader, then the chunks in a comment. All of it is ASCII, so that a length in bytes is one in characters. */
function pack(chunks: readonly OutputChunk[]): string {
  const loader = readFileSync(resolve(import.meta.dirname, "chunk-loader.cjs"), "utf8");
  const codes = chunks.map(({ code }) => asFunction(escapeNonAscii(code)).replaceAll("*/", "*\0/"));
  let fromEnd = codes.reduce((sum, code) => sum + code.length, COMMENT_END.length);
  const index: Record<string, readonly [number, number]> = {};
  for (const [at, { fileName }] of chunks.entries()) {
    const { length } = codes[at] ?? "";
    index[`./${fileName}`] = [fromEnd, length];
    fromEnd -= length;
  }
  const build = createHash("sha256").update(codes.join("")).digest("hex").slice(0, 16);
  const head = escapeNonAscii(loader)
    .replace("const CHUNKS = {};", `const CHUNKS = ${JSON.stringify(index)};`)
    .replace('const BUILD = "";', `const BUILD = "${build}";`);
  return `#!/usr/bin/env node\n${head}\n/*\n${codes.join("")}${COMMENT_END}`;
}

/** As Node wraps a CommonJS module: here, and not in the loader, where it would copy each text. */
function asFunction(code: string): string {
  return `(function(exports,require,module,__filename,__dirname){${code}\n})`;
}

/** In code, where such a character can only stand in a literal or a name; both know this escape. */
function escapeNonAscii(code: string): string {
  return code.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
