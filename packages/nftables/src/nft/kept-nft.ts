import type { KeptTool, ToolOutput, ToolStarter } from "@svcproxy/host";

/** An nft that lives on. */
export interface KeptNft extends AsyncDisposable {
  /**
   * @param commands as for `nft -f -`, elements and listings only: all of them or none are carried out
   * @returns undefined where there can be no such nft, or this is not for it: nothing was done
   * @throws EndedTool @throws EnvironmentError TOOL_FAILED
   */
  run(commands: string): Promise<ToolOutput | undefined>;
}

export interface KeepNftOptions {
  /** Default: none. */
  readonly flags?: readonly string[];
}

/** Commands that take several lines only where they list elements in braces. */
const PLAIN_COMMAND = /^(?:(?:add|create|delete) element [^{}]*\{[^{}]*\}|list ruleset \w+)$/;

/**
 * `nft -i`, where each line is a transaction. What a small one costs is a fifteenth of what it costs to start nft for it.
 *
 * @returns undefined where tools cannot live on
 */
export function keepNft({ keep }: Pick<ToolStarter, "keep">, { flags = [] }: KeepNftOptions = {}): KeptNft | undefined {
  if (keep === undefined) return undefined;
  const tool: KeptTool = keep({
    ...{ tool: "nft", args: [...flags, "-i"] },
    endMark: (number) => `svcproxy_end_${number}`,
    findEnd: findComplaint,
  });
  return {
    async run(commands) {
      const line = inOneLine(commands);
      const answer = line === undefined ? undefined : await tool.ask(line);
      return answer === undefined ? undefined : { exitCode: /Error:/.test(answer.stderr) ? 1 : 0, ...answer };
    },
    [Symbol.asyncDispose]: () => tool[Symbol.asyncDispose](),
  };
}

/** Undefined where that would not mean the same. */
function inOneLine(commands: string): string | undefined {
  const parts = commands.trimEnd().split(/(?<=\})\n|\n(?=list ruleset )/);
  return parts.every((part) => PLAIN_COMMAND.test(part)) ? parts.join("; ").replaceAll("\n", " ") : undefined;
}

/**
 * What nft says of a word that is no command of it. Nothing of the kernel is asked for it.
 *
 *     Error: syntax error, unexpected string
 *     svcproxy_end_1
 *     ^^^^^^^^^^^^^^
 */
function findComplaint(said: string, mark: string): number {
  const place = said.indexOf(`\n${mark}\n`);
  if (place < 0 || !/\^\s*\n$/.test(said)) return -1;
  return said.lastIndexOf("\n", place - 1) + 1;
}
