import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { CAUSE_CODES } from "../cause-codes.ts";
import { EXPLAINED_CODES, EXPLANATIONS } from "./explanations.ts";

/** The one list of codes, as it is written down. */
const CODES = ["problem-code.ts", "fault-code.ts"].flatMap((name) => {
  const text = readFileSync(
    new URL(import.meta.resolve("@svcproxy/topology")).pathname.replace(/index\.ts$/, name),
    "utf8",
  );
  return [...text.matchAll(/\| "([A-Z_0-9]+)"/g)].map(([, code = ""]) => code);
});

test("every code that a problem can have is explained, and no other", () => {
  expect(CODES.length).toBeGreaterThan(200);
  expect([...EXPLAINED_CODES].sort()).toEqual([...new Set(CODES)].sort());
});

test.for(CAUSE_CODES)("%s says what it rests on", (code) => {
  expect(EXPLANATIONS[code].evidence).toMatch(/\S/);
});

test("meanings and remedies are sentences", () => {
  for (const code of EXPLAINED_CODES)
    for (const text of [EXPLANATIONS[code].means, EXPLANATIONS[code].remedy]) expect(text, code).toMatch(/\S.*[.)]$/);
});
