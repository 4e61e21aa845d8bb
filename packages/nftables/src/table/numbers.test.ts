import { expect, test } from "vitest";
import { classid, parseClassid } from "./classid.ts";
import { formatDuration, parseDuration } from "./duration.ts";

test.for([
  [1, 0, "1:0"],
  [0, 1, "0:1"],
  [0xfffe, 0xfffe, "fffe:fffe"],
  [26, 255, "1a:ff"],
] as const)("the number with halves %i and %i prints as %s", ([high, low, text]) => {
  expect(classid(high, low)).toBe(text);
  expect(parseClassid(text)).toEqual({ high, low });
});

test.for(["none", "root", "1", "1:2:3", "g:1", "10000:1", ""])("%j is not such a number", (text) => {
  expect(parseClassid(text)).toBeUndefined();
});

test.for([
  [1, "1s"],
  [10_800, "3h"],
  [86_400, "1d"],
  [90_061, "1d1h1m1s"],
  [600, "10m"],
  [86_400 * 365, "365d"],
] as const)("%i seconds print as %s", ([seconds, text]) => {
  expect(formatDuration(seconds)).toBe(text);
  expect(parseDuration(text)).toBe(seconds);
});

test.for(["", "s", "1", "1h2d", "500ms"])("%j is not a duration of whole seconds", (text) => {
  expect(parseDuration(text)).toBeUndefined();
});
