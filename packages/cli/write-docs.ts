import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { version } from "./src/command-line/this-program.ts";
import { shapeOf } from "./src/generate/command-shape.ts";
import { renderCompletion } from "./src/generate/render-completion.ts";
import { renderManPages } from "./src/generate/render-man-page.ts";
import { buildProgram } from "./src/program.ts";

/**
 * Writes the man pages and completions, made from the commands as they are declared, for packages of the command.
 *
 *     node write-docs.ts FOLDER      → FOLDER/man/svcproxy.1 …, FOLDER/completions/svcproxy.bash …
 */
const [folder = resolve(import.meta.dirname, "dist")] = process.argv.slice(2);
const program = shapeOf(buildProgram(async () => {}));
const write = (path: string, text: string) => writeFileSync(resolve(folder, path), text);

for (const name of ["man", "completions"]) mkdirSync(resolve(folder, name), { recursive: true });
const date = new Date(Number(process.env["SOURCE_DATE_EPOCH"] ?? Date.now() / 1000) * 1000).toISOString().slice(0, 10);
for (const { fileName, text } of renderManPages(program, { version, date })) write(`man/${fileName}`, text);
write("completions/svcproxy.bash", renderCompletion(program, "bash"));
write("completions/_svcproxy", renderCompletion(program, "zsh"));
write("completions/svcproxy.fish", renderCompletion(program, "fish"));
