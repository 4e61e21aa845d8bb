import { execFileSync, spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import { EXIT_CODES } from "../command-line/command-context.ts";
import { buildProgram } from "../program.ts";
import { shapeOf, withSubcommands } from "./command-shape.ts";
import { renderManPages } from "./render-man-page.ts";

const program = shapeOf(buildProgram(async () => {}));
const pages = renderManPages(program, { version: "1.2.3", date: "2026-11-30" });

/** As a terminal shows it, on one line. */
function read(text: string): string {
  const shown = execFileSync("mandoc", ["-T", "utf8", "-O", "width=200"], { input: text, encoding: "utf8" });
  return shown.replaceAll(/.[\b]/g, "").replaceAll(/\s+/g, " ");
}

test("there is a page for svcproxy and one for each command", () => {
  expect(pages.map(({ fileName }) => fileName)).toEqual([
    "svcproxy.1",
    ...program.subcommands.map(({ words }) => `svcproxy-${words[0]}.1`),
  ]);
});

describe.for(pages)("$fileName", ({ fileName, text }) => {
  test("is right for mandoc", () => {
    expect(spawnSync("mandoc", ["-T", "lint", "-W", "warning"], { input: text, encoding: "utf8" }).stdout).toBe("");
  });

  test("has every flag, example and exit code", () => {
    const shown = read(text);
    const [command] = program.subcommands.filter(({ words }) => fileName === `svcproxy-${words[0]}.1`);
    for (const { options, examples } of command === undefined ? [program] : withSubcommands(command)) {
      for (const { long, value } of options) expect(shown).toContain(value === undefined ? long : `${long} ${value}`);
      for (const example of examples) expect(shown).toContain(example.replaceAll(/\s+/g, " "));
    }
    for (const [code, about] of Object.entries(EXIT_CODES)) expect(shown.toLowerCase()).toContain(`${code} ${about}`);
  });
});

test("what means something in roff stands for itself", () => {
  const [page] = renderManPages(
    { words: [], about: ".x \\d 'é' a-b…", notes: [], examples: [], operands: [], options: [], subcommands: [] },
    { version: "1", date: "2026-11-30" },
  );
  expect(read(page?.text ?? "")).toContain("svcproxy - .x \\d 'é' a-b…");
});
