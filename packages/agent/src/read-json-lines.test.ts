import { expect, test } from "vitest";
import { readJsonLines } from "./read-json-lines.ts";

const OPTIONS = { maxLineBytes: 20, fault: (whatLineIs: string) => new Error(`a line is ${whatLineIs}`) };

/** What came together, how many bytes were left behind, and what was thrown. */
async function readAll(chunks: readonly (string | Buffer)[], onBytes = () => {}) {
  const batches: (readonly unknown[])[] = [];
  const stream = (async function* () {
    for (const chunk of chunks) yield Buffer.from(chunk);
  })();
  const lines = readJsonLines(stream, { ...OPTIONS, onBytes });
  try {
    for (;;) {
      const { done, value } = await lines.next();
      if (done === true) return { batches, cutOffBytes: value };
      batches.push(value);
    }
  } catch (error) {
    return { batches, error };
  }
}

test("values that came together are told together, blank lines are not", async () => {
  expect(await readAll(['{"a":1}\n\n2\n', "\n", " \n3\n"])).toEqual({ batches: [[{ a: 1 }, 2], [3]], cutOffBytes: 0 });
});

test("a line may come in pieces, also within a character", async () => {
  const text = Buffer.from('"Größe"\n');
  const pieces = [...text].map((byte) => Buffer.from([byte]));
  expect(await readAll(pieces)).toEqual({ batches: [["Größe"]], cutOffBytes: 0 });
});

test("what stands behind the last line break is counted, and told as no value", async () => {
  expect(await readAll(["1\n", "23", "4"])).toEqual({ batches: [[1]], cutOffBytes: 3 });
});

test("a line that is not JSON is a fault, after the values before it", async () => {
  expect(await readAll(["1\nwhat\n2\n"])).toEqual({ batches: [[1]], error: new Error("a line is not JSON: what") });
});

test("a line without an end is a fault once it is too long, though each piece is short", async () => {
  const { batches, error } = await readAll(["1\n", '"0123456789', "0123456789", "never read"]);
  expect({ batches, error }).toEqual({ batches: [[1]], error: new Error("a line is longer than 20 bytes") });
});

test("bytes are told of as they come, whole line or not", async () => {
  let count = 0;
  await readAll(["1", "2", "\n"], () => count++);
  expect(count).toBe(3);
});
