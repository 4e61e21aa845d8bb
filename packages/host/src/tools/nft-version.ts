import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { ToolRunner } from "./run-tool.ts";

/** The version of the host's nft, for instance `1.0.6`; undefined where it does not say. */
export async function nftVersion(run: ToolRunner): Promise<string | undefined> {
  const { stdout } = await run("nft", ["--version"]);
  return /\bv?(\d+(?:\.\d+)+)/.exec(stdout)?.[1];
}

/** An nft has some 30 KiB, and 1 MiB where its libraries are in it. */
const MAX_PROGRAM_BYTES = 8 << 20;

/** What nft prints of itself, which stands together in its file: `1.1.3`, `nftables`, `%s v%s (%s)`. */
const WRITTEN_VERSION = /\0(\d+(?:\.\d+)+)\0+nftables\0/;

/**
 * The version of an nft by its file alone, which is not run: it may be somebody else's. Undefined where the file does not say, or cannot be read.
 */
export async function writtenNftVersion(file: string): Promise<string | undefined> {
  try {
    // Somebody may put a pipe there meanwhile.
    await using program = await open(file, constants.O_RDONLY | constants.O_NONBLOCK);
    const { buffer, bytesRead } = await program.read({ buffer: Buffer.alloc(MAX_PROGRAM_BYTES) });
    return WRITTEN_VERSION.exec(buffer.toString("latin1", 0, bytesRead))?.[1];
  } catch {
    return undefined;
  }
}
