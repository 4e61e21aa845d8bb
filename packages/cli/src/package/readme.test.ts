import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { expect, inject, test } from "vitest";
import { EXIT_CODES } from "../command-line/command-context.ts";

const root = resolve(import.meta.dirname, "../../../..");
const readme = await readFile(resolve(root, "README.md"), "utf8");

/** The fenced blocks of a language, without their fences. */
function blocksOf(language: string): readonly string[] {
  return [...readme.matchAll(new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\`$`, "gms"))].map(([, block = ""]) => block);
}

test("the README opens with the main job, and shows what it prints today", async () => {
  const [commands = "", printed] = blocksOf("sh");
  const [first = ""] = commands.split("\n");
  const [program, ...args] = first.replace(/\s*#.*/, "").split(" ");
  expect(program).toBe("scripts/svcproxy");
  const { stdout } = await promisify(execFile)(process.execPath, [inject("program"), ...args], { cwd: root });
  expect(printed).toBe(stdout);
});

test("the README lists the exit codes as the command has them", () => {
  const rows = [...readme.matchAll(/^\| (\d) \| (.*) \|$/gm)].map(([, code, about]) => [code, about]);
  expect(rows).toEqual(Object.entries(EXIT_CODES));
});

test("the README and package.json name the same Node", async () => {
  const { engines } = JSON.parse(await readFile(resolve(root, "packages/cli/package.json"), "utf8"));
  expect(readme).toContain(`with Node.js ${engines.node.replace(">=", "≥ ")} |`);
});

test("the README shows the example's topology as it is", async () => {
  expect(blocksOf("yaml")).toContain(await readFile(resolve(root, "examples/cloudos.yaml"), "utf8"));
});
