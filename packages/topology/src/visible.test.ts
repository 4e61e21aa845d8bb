import fc from "fast-check";
import { expect, test } from "vitest";
import { escapeUnseen, visible } from "./visible.ts";

test.for([
  { what: "a bidirectional override", text: "a\u202eb", shown: "a\\u{202e}b", escaped: "a\\u202eb" },
  { what: "a bidirectional isolate", text: "a\u2066b", shown: "a\\u{2066}b", escaped: "a\\u2066b" },
  { what: "a zero-width space", text: "a\u200bb", shown: "a\\u{200b}b", escaped: "a\\u200bb" },
  { what: "a byte-order mark", text: "a\ufeffb", shown: "a\\u{feff}b", escaped: "a\\ufeffb" },
  { what: "a C1 control", text: "a\u009bb", shown: "a\\u{9b}b", escaped: "a\\u009bb" },
  { what: "a line separator", text: "a\u2028b", shown: "a\\u{2028}b", escaped: "a\\u2028b" },
  { what: "a combining joiner", text: "a\u034fb", shown: "a\\u{34f}b", escaped: "a\\u034fb" },
  { what: "a filler of Hangul", text: "a\u3164b", shown: "a\\u{3164}b", escaped: "a\\u3164b" },
  { what: "an empty Braille cell", text: "a\u2800b", shown: "a\\u{2800}b", escaped: "a\\u2800b" },
  { what: "a tag", text: "a\u{e0041}b", shown: "a\\u{e0041}b", escaped: "a\\udb40\\udc41b" },
  { what: "half a character", text: "a\ud800b", shown: "a\\u{d800}b", escaped: "a\\ud800b" },
  { what: "the start of a colour", text: "a\u001b[31m", shown: "a\\u{1b}[31m", escaped: "a\u001b[31m" },
  { what: "a line break", text: "a\nb", shown: "a\\nb", escaped: "a\nb" },
  { what: "letters of any language", text: "é 名 ש 👍", shown: "é 名 ש 👍", escaped: "é 名 ש 👍" },
])("$what is seen", ({ text, shown, escaped }) => {
  expect(visible(text)).toBe(shown);
  expect(escapeUnseen(text)).toBe(escaped);
});

test("JSON means the same once it is escaped", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      const text = JSON.stringify(value);
      expect(JSON.parse(escapeUnseen(text))).toEqual(JSON.parse(text));
    }),
  );
});
