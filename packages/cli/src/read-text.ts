import type { CommandContext } from "./command-context.ts";
import { readFileBytes, tooLarge } from "./read-file-bytes.ts";

/** 256 MiB: rules of 100,000 endpoints take 60, and a text of more than 512 is more than a string can hold. */
const MAX_TEXT_BYTES = 256 * 1024 * 1024;

/**
 * A file of rules or facts that the user named, as text; `-` is stdin. Empty is a text too: iptables-save prints nothing
 * where there are no rules.
 *
 * @throws InputError FILE_UNREADABLE or FILE_TOO_LARGE
 */
export async function readText(context: CommandContext, file: string): Promise<string> {
  if (file !== "-") return readFileBytes(file, { maxBytes: MAX_TEXT_BYTES }).toString("utf8");
  const bytes = await context.readStdin({ maxBytes: MAX_TEXT_BYTES });
  if (bytes.length > MAX_TEXT_BYTES) throw tooLarge("<stdin>", MAX_TEXT_BYTES);
  return bytes.toString("utf8");
}
