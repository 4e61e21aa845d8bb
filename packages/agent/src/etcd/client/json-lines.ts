import { EtcdError } from "./etcd-error.ts";

/** A watch's message is at most a few MiB; a stream without line breaks is none of etcd's. */
const MAX_LINE_CHARACTERS = 64 * 1024 * 1024;

/**
 * The values of a stream of newline-separated JSON. Blank lines may come as chunks of their own.
 *
 * @throws EtcdError where a line is not JSON
 */
export async function* readJsonLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<unknown, void, undefined> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of chunks) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    if (rest.length > MAX_LINE_CHARACTERS)
      throw new EtcdError("failed", "Cannot read etcd's stream: a line has no end");
    for (const line of lines) if (line.trim() !== "") yield parseLine(line);
  }
  // What is cut off is not a message: etcd ends each one with a line break.
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (error) {
    throw new EtcdError("failed", `Cannot read etcd's stream: ${JSON.stringify(line.slice(0, 80))} is not JSON`, {
      cause: error,
    });
  }
}
