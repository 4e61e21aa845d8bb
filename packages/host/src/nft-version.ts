import type { ToolRunner } from "./run-tool.ts";

/** The version of the host's nft, for instance `1.0.6`; undefined where it does not say. */
export async function nftVersion(run: ToolRunner): Promise<string | undefined> {
  const { stdout } = await run("nft", ["--version"]);
  return /\bv?(\d+(?:\.\d+)+)/.exec(stdout)?.[1];
}
