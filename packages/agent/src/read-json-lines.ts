export interface JsonLinesOptions {
  /** A line that grows beyond this is no message of the other side. */
  readonly maxLineBytes: number;
  /** The error for a line that is wrong: `not JSON: …`, `longer than … bytes`. */
  readonly fault: (whatLineIs: string, options?: { readonly cause: unknown }) => Error;
  /** Called as bytes come in, also where they are no whole line. */
  readonly onBytes?: () => void;
}

/**
 * The values of a stream with one JSON text a line, those together that came together; blank lines are passed over.
 *
 * @returns how many bytes stand behind the last line break: 0 where the stream was not cut off
 * @throws what `fault` makes, where a line is not JSON or has no end, after the values before it
 */
export async function* readJsonLines(
  stream: AsyncIterable<Buffer>,
  { maxLineBytes, fault, onBytes }: JsonLinesOptions,
): AsyncGenerator<readonly unknown[], number, undefined> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    onBytes?.();
    const values: unknown[] = [];
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      const line =
        pieces.length === 0
          ? chunk.toString("utf8", start, end)
          : Buffer.concat([...pieces, chunk.subarray(start, end)]).toString("utf8");
      pieces = [];
      length = 0;
      start = end + 1;
      if (line.trim() === "") continue;
      try {
        values.push(JSON.parse(line));
      } catch (cause) {
        // Those before it came well.
        if (values.length > 0) yield values;
        throw fault(`not JSON: ${line.slice(0, 60)}`, { cause });
      }
    }
    if (values.length > 0) yield values;
    if (start === chunk.length) continue;
    pieces.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > maxLineBytes) throw fault(`longer than ${maxLineBytes} bytes`);
  }
  return length;
}

const NEWLINE = 0x0a;
