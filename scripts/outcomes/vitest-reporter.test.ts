import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readUnitOutcomes } from "./read-outcomes.ts";
import { UNIT_REPORT } from "./vitest-reporter.ts";

const FILES = {
  "flaky.test.js": `
    let tries = 0;
    describe("group", () => {
      test("passes later", () => expect(++tries, "the number of tries").toBe(2));
    });
    test("never passes", () => { throw new Error("always\\nso"); });
    test("passes", () => {});
    test("needs root", ({ skip }) => skip("not root"));
  `,
  "hook.test.js": `
    describe("group", () => {
      beforeAll(() => { throw new Error("no set-up"); });
      test("is not reached", () => {});
    });
  `,
  "broken.test.js": `import "./is-not-there.js"; test("is not read", () => {});`,
  "orphan.test.js": `test("leaves a rejection behind", () => { Promise.reject(new Error("orphan")); });`,
  "vitest.config.js": `export default { test: { globals: true, name: "mine" } };`,
};

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "svcproxy-vitest-"));
  for (const [name, text] of Object.entries(FILES)) writeFileSync(join(folder, name), text);
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the report has every test that failed twice, what passed at its second try, and what failed outside of tests", () => {
  const vitest = resolve(import.meta.dirname, "../../node_modules/vitest/vitest.mjs");
  const reporter = resolve(import.meta.dirname, "vitest-reporter.ts");
  const { status } = spawnSync(process.execPath, [vitest, "run", "--retry=1", `--reporter=${reporter}`], {
    cwd: folder,
    stdio: "ignore",
  });
  expect(status).toBe(1);
  const { passed, failed, secondTry, skipped } = readUnitOutcomes(join(folder, UNIT_REPORT));
  expect(passed).toBe(3);
  expect(secondTry).toEqual([
    {
      name: "mine flaky.test.js > group > passes later",
      message: expect.stringMatching(/^at flaky.test.js:4:\d+\nthe number of tries: expected 1 to be 2/),
    },
  ]);
  expect(skipped).toEqual(["mine flaky.test.js > needs root: not root", "mine hook.test.js > group > is not reached"]);
  expect(failed.toSorted((a, b) => (a.name < b.name ? -1 : 1))).toEqual([
    { name: "mine broken.test.js", message: expect.stringContaining("is-not-there.js") },
    {
      name: "mine flaky.test.js > never passes",
      message: expect.stringMatching(/^at flaky.test.js:6:\d+\nalways\nso$/),
    },
    { name: "mine hook.test.js > group", message: expect.stringContaining("no set-up") },
    { name: "outside of any test", message: expect.stringContaining("orphan") },
  ]);
});
