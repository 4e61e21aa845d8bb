import { EnvironmentError, visible } from "@svcproxy/topology";
import { type ForeignNft, findForeignNfts } from "../live-rules/foreign-nft.ts";
import { nftVersion } from "./nft-version.ts";
import { EndedTool, runTool, type ToolRunner } from "./run-tool.ts";

/** Signals by which the kernel ends a program for a fault of its own; by others somebody ended it. */
const CRASHES: ReadonlySet<string> = new Set(["SIGSEGV", "SIGABRT", "SIGBUS", "SIGFPE", "SIGILL"]);

/** The same as `runTool`, but that an nft that crashes is explained. */
export const runExplained = explaining(runTool);

/** Runs tools by way of `run`; an nft that crashes is explained. */
export function explaining(run: ToolRunner): ToolRunner {
  return async (tool, args, options) => {
    try {
      return await run(tool, args, options);
    } catch (error) {
      if (tool !== "nft" || !(error instanceof EndedTool)) throw error;
      throw await explainCrash(error, run);
    }
  };
}

/**
 * The error for an nft that a signal ended. Some versions do so as long as a set is there that another version wrote, in whatever
 * table, at almost every command; listing chains is not among them, and listing one table reads that one alone.
 *
 * Which version wrote it, such an nft does not tell: programs that have an nft of their own are named instead, with the version that stands in
 * its file.
 *
 * @see nft 1.0.6, which crashes on the descriptions that nft 1.1 keeps with some maps (kubernetes #136786)
 */
export async function explainCrash(
  ended: EndedTool,
  run: ToolRunner,
  findWriters: () => Promise<readonly ForeignNft[]> = findForeignNfts,
): Promise<EnvironmentError> {
  if (!CRASHES.has(ended.by)) return ended;
  const version = (await nftVersion(run).catch(() => undefined)) ?? "of an unknown version";
  const culprits = await findCulprits(run).catch(() => []);
  const writers = await findWriters().catch(() => []);
  const tables = culprits.length === 0 ? "some table" : `table ${culprits.join(" and table ")}`;
  return new EnvironmentError(
    "NFT_CRASHED",
    `nft ${version} was ended by ${ended.by} while it read ${tables}: it holds sets that another version of nft wrote, which this one cannot read; it does not tell which version that was`,
    {
      cause: ended,
      hint: `${
        culprits.length === 0
          ? "Let all programs on this host use one version of nft (`nft --version`, also in their containers), or install a newer one here"
          : `Remove ${tables} with the version of nft that wrote it (the program may have its own in a container), or install that version here`
      }${describeWriters(writers)}`,
    },
  );
}

/** More are of no help. */
const MOST_WRITERS = 3;

function describeWriters(writers: readonly ForeignNft[]): string {
  if (writers.length === 0) return "; no program here is seen to have an nft of its own (ask each: nft --version)";
  const named = writers.slice(0, MOST_WRITERS).map(({ pid, command, version }) => {
    const ask = `nsenter -t ${pid} -m nft`;
    return version === undefined
      ? `${visible(command)} (ask it: ${ask} --version)`
      : `${visible(command)} has nft ${version} (run it by: ${ask})`;
  });
  return `; programs here that have an nft of their own: ${named.join("; ")}`;
}

/** The tables that this nft cannot list, as `ip kube-proxy`. */
async function findCulprits(run: ToolRunner): Promise<readonly string[]> {
  const { stdout } = await run("nft", ["list", "chains"]);
  const tables = [...stdout.matchAll(/^table (\w+) (\S+) \{$/gm)].map(([, family = "", name = ""]) => ({
    family,
    name,
  }));
  const culprits: string[] = [];
  for (const { family, name } of tables) {
    try {
      await run("nft", ["list", "table", family, name]);
    } catch (error) {
      if (!(error instanceof EndedTool)) throw error;
      culprits.push(`${family} ${name}`);
    }
  }
  return culprits;
}
