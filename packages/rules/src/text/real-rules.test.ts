import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatRestore, formatSave } from "../rule-sets/format-restore.ts";
import { parseSave } from "../rule-sets/parse-save.ts";

const folder = new URL("../../fixtures/hosts/", import.meta.url);

/** What these programs leave in iptables-save, see the README beside it. */
test.for(readdirSync(folder).filter((name) => name.endsWith(".rules")))("%s is read without loss", (name) => {
  const text = readFileSync(new URL(name, folder), "utf8");
  const ruleSet = parseSave(text);
  const withoutNotes = text
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .join("\n");
  expect(formatSave(ruleSet)).toBe(withoutNotes);
  expect(formatSave(parseSave(formatRestore(ruleSet.tables, ruleSet)))).toBe(withoutNotes);
  const unknown = ruleSet.tables.flatMap(({ chains }) =>
    chains.flatMap(({ rules }) =>
      rules.flatMap(({ matches, target }) => [...matches, target].filter(({ kind }) => kind === "unknown")),
    ),
  );
  expect(unknown).toEqual([]);
});
