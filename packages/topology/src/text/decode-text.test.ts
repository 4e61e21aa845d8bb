import { expect, test } from "vitest";
import { InputError } from "../errors.ts";
import { decodeText } from "./decode-text.ts";

function faultOf(bytes: Uint8Array) {
  try {
    decodeText({ file: "f.yaml", bytes });
  } catch (error) {
    if (error instanceof InputError) return error.faults[0];
    throw error;
  }
  return undefined;
}

const UTF16 = "It looks like UTF-16: save the file as UTF-8";
const OTHER = "Save the file as UTF-8";

test.for([
  {
    name: "Latin-1, whose byte takes the next one for its own",
    bytes: "a\nh\xe9\nb",
    byte: "4 (0xe9)",
    at: [2, 2],
    hint: OTHER,
  },
  { name: "a character cut off by the end", bytes: "ab\xe2\x82", byte: "3 (0xe2)", at: [1, 3], hint: OTHER },
  { name: "a continuation byte alone", bytes: "\xc3\xa9\xa9", byte: "3 (0xa9)", at: [1, 2], hint: OTHER },
  { name: "a null byte", bytes: "ab\nc\0", byte: "5 (0x00)", at: [2, 2], hint: OTHER },
  { name: "UTF-16 that breaks off", bytes: "\xff\xfeh\0o", byte: "1 (0xff)", at: [1, 1], hint: UTF16 },
  { name: "UTF-16 with a null character", bytes: "\xff\xfeh\0\0\0", byte: "1 (0xff)", at: [1, 1], hint: UTF16 },
  { name: "UTF-16 of little end first", bytes: "h\0o\0", byte: "2 (0x00)", at: [1, 2], hint: UTF16 },
  { name: "UTF-16 of big end first", bytes: "\0h\0o", byte: "1 (0x00)", at: [1, 1], hint: UTF16 },
])("$name is not text, and the fault names the byte", ({ bytes, byte, at: [line, column], hint }) => {
  expect(faultOf(Buffer.from(bytes, "latin1"))).toEqual({
    severity: "error",
    code: "NOT_UTF8",
    message: `Byte ${byte} is not UTF-8 text`,
    at: { file: "f.yaml", line, column },
    hint,
  });
});

test("64 MiB of null bytes are refused at the first of them", () => {
  expect(faultOf(new Uint8Array(64 * 1024 * 1024))?.message).toBe("Byte 1 (0x00) is not UTF-8 text");
});

test("a byte-order mark is not part of the text, be it at the start of a line: joined files have it there", () => {
  const text = (given: string) => decodeText({ file: "f.yaml", bytes: Buffer.from(given) }).text;
  expect(text("\ufeffa: é")).toBe("a: é");
  expect(text("\ufeffa: 1\n---\n\ufeffb: 2\r\n\ufeff\ufeffc: 3\ufeff")).toBe("a: 1\n---\nb: 2\r\nc: 3\ufeff");
});

test.for(["utf16le", "utf16be"])("%s with a byte-order mark is read", (encoding) => {
  const bytes = Buffer.from("\ufeffa: é\n\ufeffb: 💡", "utf16le");
  expect(decodeText({ file: "f.yaml", bytes: encoding === "utf16be" ? bytes.swap16() : bytes }).text).toBe(
    "a: é\nb: 💡",
  );
});
