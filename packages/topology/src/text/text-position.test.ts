import fc from "fast-check";
import { expect, test } from "vitest";
import { positionAt, positionFinder } from "./text-position.ts";

test.for([
  { name: "the start", text: "abc", offset: 0, line: 1, column: 1 },
  { name: "behind a line feed", text: "a\nbc", offset: 3, line: 2, column: 2 },
  { name: "behind \\r\\n, which is one line break", text: "a\r\nb", offset: 3, line: 2, column: 1 },
  { name: "behind a lone \\r", text: "a\rb", offset: 2, line: 2, column: 1 },
  { name: "behind a character of two units", text: "😀😀x", offset: 4, line: 1, column: 3 },
  { name: "the end", text: "ab\n", offset: 3, line: 2, column: 1 },
])("$name has its line and column", ({ text, offset, line, column }) => {
  expect(positionAt(text, offset)).toEqual({ line, column });
});

test("any place of any text is where splitting the text has it", () => {
  const pieces = fc.constantFrom("a", "\n", "\r\n", "é", "😀", "x".repeat(1500));
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), fc.array(fc.nat(12), { maxLength: 4 }), (parts, places) => {
      const find = positionFinder(parts.join(""));
      for (const place of places) {
        const before = parts.slice(0, place).join("");
        const lines = before.split(/\r\n|\n/);
        expect(find(before.length)).toEqual({ line: lines.length, column: [...(lines.at(-1) ?? "")].length + 1 });
      }
    }),
  );
});

test("a hundred thousand places on one line take no minutes", () => {
  const find = positionFinder("x".repeat(4_000_000));
  let last = 0;
  for (let offset = 0; offset < 4_000_000; offset += 40) last = find(offset).column;
  expect(last).toBe(3_999_961);
});
