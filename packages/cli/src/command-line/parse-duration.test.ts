import { expect, test } from "vitest";
import { parseDuration } from "./parse-duration.ts";

test.for([
  ["0", 0],
  ["2", 2_000],
  ["0.5", 500],
  ["500ms", 500],
  ["30s", 30_000],
  ["15m", 900_000],
  ["15min", 900_000],
  ["1.5h", 5_400_000],
] as const)("%s is %d ms", ([text, milliseconds]) => {
  expect(parseDuration(text)).toBe(milliseconds);
});

test.for(["", "s", "-1", "1 s", "1d", "1e3", "1.s", "Infinity", "700h"])("%j is not a duration", (text) => {
  expect(() => parseDuration(text)).toThrow(/duration/);
});
