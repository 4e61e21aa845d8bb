import { readFile } from "node:fs/promises";
import { type Plugin, rolldown } from "rolldown";

const SUFFIX = "?for-browser";
const PREFIX = "\0for-browser:";

/**
 * Lets a module import what browsers are to run as text: `import script from "./app/main.tsx?for-browser"`. A script comes with all that it
 * imports, minified; a style sheet as it is.
 */
export function forBrowser(): Plugin {
  return {
    name: "for-browser",
    resolveId: {
      filter: { id: /\?for-browser$/ },
      async handler(id, importer) {
        const found = await this.resolve(id.slice(0, -SUFFIX.length), importer);
        return found === null ? undefined : `${PREFIX}${found.id}.js`;
      },
    },
    load: {
      filter: { id: /^\0for-browser:/ },
      async handler(id) {
        const file = id.slice(PREFIX.length, -".js".length);
        const text = file.endsWith(".css") ? await readFile(file, "utf8") : await bundle(file);
        return `export default ${JSON.stringify(text)};`;
      },
    },
  };
}

async function bundle(file: string): Promise<string> {
  const build = await rolldown({
    input: file,
    platform: "browser",
    transform: { target: "es2023" },
    logLevel: "warn",
  });
  const { output } = await build.generate({
    format: "iife",
    minify: true,
    comments: { legal: true },
    codeSplitting: false,
  });
  await build.close();
  const [{ code }] = output;
  return code;
}
