import { ApiError } from "./api-error.ts";

/** etcd takes no object above 1.5 MiB; a line that grows beyond this is not an event. */
const MAX_LINE_BYTES = 16 << 20;

/**
 * The values of a stream with one JSON text a line, those together that came together; blank lines are passed over.
 *
 * @param onBytes called as bytes come in, also where they are no whole line
 * @throws ApiError where a line is not JSON or has no end
 */
export async function* readJsonLines(
  stream: AsyncIterable<Buffer>,
  onBytes: () => void = () => {},
): AsyncGenerator<readonly unknown[], void, undefined> {
  let pieces: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    onBytes();
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
        values.push(parseLine(line));
      } catch (error) {
        // Those before it came well.
        yield values;
        throw error;
      }
    }
    if (values.length > 0) yield values;
    if (start === chunk.length) continue;
    pieces.push(chunk.subarray(start));
    length += chunk.length - start;
    if (length > MAX_LINE_BYTES) throw new ApiError(`a line of the answer is longer than ${MAX_LINE_BYTES} bytes`);
  }
  if (length > 0) throw new ApiError("the answer was cut off in the middle of a line");
}

const NEWLINE = 0x0a;

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw new ApiError(`a line of the answer is not JSON: ${line.slice(0, 60)}`, { cause });
  }
}
