import { endianness } from "node:os";
import { expect, test } from "vitest";
import { type RuleWord, RuleWords } from "./rule-changes.ts";

const NFTABLES = 10 << 8;
const IP = 2;

/** A netlink message as this machine's kernel writes it. */
function message(type: number, ...attributes: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([IP, 0, 0, 0]), ...attributes]);
  const header = Buffer.alloc(16);
  write(header, { at: 0, bytes: 4, value: 16 + body.length });
  write(header, { at: 4, bytes: 2, value: type });
  return Buffer.concat([header, body]);
}

function attribute(type: number, value: string | Buffer): Buffer {
  const content = typeof value === "string" ? Buffer.from(`${value}\0`) : value;
  const header = Buffer.alloc(4);
  write(header, { at: 0, bytes: 2, value: 4 + content.length });
  write(header, { at: 2, bytes: 2, value: type });
  return Buffer.concat([header, content, Buffer.alloc((4 - (content.length % 4)) % 4)]);
}

function write(buffer: Buffer, { at, bytes, value }: { at: number; bytes: number; value: number }): void {
  if (endianness() === "LE") buffer.writeUIntLE(value, at, bytes);
  else buffer.writeUIntBE(value, at, bytes);
}

function read(words: RuleWords, part: Buffer): readonly string[] {
  return [...words.read(part)].map(shown);
}

function shown(word: RuleWord): string {
  if (word.kind === "change") return word.describe();
  return word.kind === "commit" ? `commit ${JSON.stringify(word.writer)}` : word.kind;
}

const DELETED_RULE = message(
  NFTABLES + 8,
  attribute(1, "nat"),
  attribute(2, "PREROUTING"),
  attribute(4, "\u0001KUBE-SERVICES"),
);
const COMMIT = message(
  NFTABLES + 15,
  attribute(1, Buffer.alloc(4)),
  attribute(2, Buffer.from([0, 0, 1, 2])),
  attribute(3, "a (b)"),
);
const STREAM = Buffer.concat([
  message(1),
  message(NFTABLES + 12, attribute(1, "svcproxy"), attribute(2, "services"), attribute(3 | 0x8000, Buffer.alloc(64))),
  DELETED_RULE,
  message(NFTABLES + 3, attribute(1, "filter"), attribute(2, Buffer.alloc(8)), attribute(3, "INPUT")),
  message(NFTABLES + 26, attribute(1, "filter"), attribute(2, Buffer.alloc(4))),
  message(NFTABLES + 99, attribute(1, "later")),
  message(2 << 8),
  COMMIT,
  message(NFTABLES + 15),
  message(4),
]);
const WORDS = [
  "listening",
  "add element ip svcproxy services",
  expect.stringMatching(/^delete rule ip nat PREROUTING .*\bKUBE-SERVICES /),
  "add chain ip filter INPUT",
  "delete table ip filter",
  "change something ip later",
  'commit {"pid":258,"program":"a (b)"}',
  "commit {}",
  "lost",
];

test("what the kernel says of its rules is read", () => {
  expect(read(new RuleWords(), STREAM)).toEqual(WORDS);
});

test.for([1, 7, 100])("so it is from parts of %i bytes", (size) => {
  const words = new RuleWords();
  const parts = Array.from({ length: Math.ceil(STREAM.length / size) }, (_, at) =>
    STREAM.subarray(at * size, (at + 1) * size),
  );
  expect(parts.flatMap((part) => read(words, part))).toEqual(WORDS);
});

test.for([0, 0xff])("what is no message is refused: bytes of %i", (byte) => {
  expect(() => read(new RuleWords(), Buffer.alloc(32, byte))).toThrow(RangeError);
});

test("an attribute that is longer than its message is left out", () => {
  const short = message(NFTABLES, attribute(1, "filter"));
  short[20] = 200;
  short[21] = 200;
  expect(read(new RuleWords(), short)).toEqual(["add table ip"]);
});
