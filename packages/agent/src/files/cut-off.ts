import { InputError, type InputFile } from "@svcproxy/topology";

/**
 * Why a file seems to have been cut off: it ends within a line, and what could be read of it before ended with a whole one. Such a rest often
 * reads well: `port: 80` of `port: 8080`, or a list with fewer services.
 *
 * @param before what the file held when it could last be read
 */
export function cutOffError(
  file: InputFile,
  before: { readonly endsWithLine: boolean } | undefined,
): InputError | undefined {
  if (before?.endsWithLine !== true || endsWithLine(file) || isBracketed(file)) return undefined;
  const message = "It ends within a line, and ended with a whole one before: it may have been cut off";
  const hint = "Write it whole; if it is, end its last line with a line break";
  return new InputError([{ severity: "error", code: "CUT_OFF", message, at: lastPlace(file), hint }]);
}

export function endsWithLine({ bytes }: InputFile): boolean {
  // In UTF-16 of either order the other byte is 0.
  const last = bytes.at(-1) === 0 ? bytes.at(-2) : bytes.at(-1);
  return bytes.length === 0 || last === LINE_FEED;
}

/** JSON, and YAML in brackets: without its end it cannot be read anyway. */
function isBracketed({ bytes }: InputFile): boolean {
  const first = bytes.find((byte) => byte > SPACE && byte < BEYOND_ASCII);
  return first === CURLY_BRACKET || first === SQUARE_BRACKET;
}

function lastPlace({ file, bytes }: InputFile) {
  const lines = new TextDecoder().decode(bytes).split("\n");
  return { file, line: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

const [LINE_FEED, SPACE, CURLY_BRACKET, SQUARE_BRACKET, BEYOND_ASCII] = [0x0a, 0x20, 0x7b, 0x5b, 0x80];
