import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findWrongArrows } from "./check-arrows.ts";

/** What is wrong with a workspace of these files, as `file: message`. */
function wrongIn(files: Readonly<Record<string, string>>): readonly string[] {
  const root = mkdtempSync(join(tmpdir(), "svcproxy-arrows-"));
  onTestFinished(() => rmSync(root, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return findWrongArrows(root).map(({ file, message }) => `${file}: ${message}`);
}

// The names stand apart from the words that import them: else this file itself would be found wrong.
const from = (name: string) => `import { it } ${"from"} "${name}";\n`;
const dynamic = (name: string) => `const it = await ${"import"}("${name}");\n`;

test("imports to the left are fine, by name and within a package", () => {
  expect(
    wrongIn({
      "packages/host/src/a.ts": from("@svcproxy/rules") + from("./b.ts") + from("node:fs"),
      "packages/host/src/b.ts": "export const it = 1;\n",
      "e2e/src/c.ts": from("@svcproxy/agent"),
    }),
  ).toEqual([]);
});

test.for([
  {
    name: "an arrow to the right",
    files: { "packages/rules/src/a.ts": from("@svcproxy/host") },
    wrong: "packages/rules/src/a.ts: rules may not import host: the arrow points to the right",
  },
  {
    name: "a path into another package",
    files: { "packages/host/src/a.ts": from("@svcproxy/rules/src/match.ts") },
    wrong:
      "packages/host/src/a.ts: @svcproxy/rules/src/match.ts: import a package by its name, never by a path into it",
  },
  {
    name: "a relative path out of the package",
    files: { "packages/host/src/a.ts": from("../../rules/src/match.ts") },
    wrong: "packages/host/src/a.ts: ../../rules/src/match.ts reaches into rules; import @svcproxy/rules",
  },
  {
    name: "a node: module in a pure package",
    files: { "packages/topology/src/a.ts": from("node:fs") },
    wrong: "packages/topology/src/a.ts: topology is pure and may not import node:fs",
  },
  {
    name: "what is for tests in the product",
    files: { "packages/agent/src/a.ts": from("@svcproxy/host/testing") },
    wrong: "packages/agent/src/a.ts: @svcproxy/host/testing is for tests",
  },
  {
    name: "a shared package by import() in the command",
    files: { "packages/cli/src/a.ts": dynamic("@svcproxy/rules") },
    wrong:
      "packages/cli/src/a.ts: import @svcproxy/rules in a file of this package and that one by import(): the bundle is split there",
  },
  {
    name: "a circle of files, one half of it by import()",
    files: { "packages/cli/src/a.ts": dynamic("./b.ts"), "packages/cli/src/b.ts": from("./a.ts") },
    wrong:
      "packages/cli/src/a.ts: imports itself by way of packages/cli/src/b.ts: move what they share into a file of its own",
  },
])("$name is told", ({ files, wrong }) => {
  expect(wrongIn(files)).toEqual([wrong]);
});

test("tests may import what the product may not", () => {
  expect(wrongIn({ "packages/rules/src/a.test.ts": from("@svcproxy/host/testing") + from("node:fs") })).toEqual([]);
});
