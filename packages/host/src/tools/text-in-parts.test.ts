import { expect, test } from "vitest";
import { splitText, TextInParts } from "./text-in-parts.ts";

test("a text that comes in part by part is whole wherever its characters were cut", () => {
  const text = "a…🐟é".repeat(10);
  const bytes = Buffer.from(text);
  for (const size of [1, 2, 3, 5, 7, 1_000]) {
    const parts = new TextInParts();
    for (let start = 0; start < bytes.length; start += size) parts.add(bytes.subarray(start, start + size));
    expect(parts.whole()).toBe(text);
  }
});

test("a text is split between characters", () => {
  expect([...splitText("ab🐟🐟c", 3)]).toEqual(["ab🐟", "🐟c"]);
  expect([...splitText("", 3)]).toEqual([]);
});

test("megabytes are split, and what a pipe takes at once is not", () => {
  const lengthsOf = (length: number) => Array.from(splitText("a".repeat(length)), (part) => part.length);
  expect(lengthsOf(212_992)).toEqual([212_992]);
  expect(Math.max(...lengthsOf(5_000_000))).toBeLessThan(300_000);
});
