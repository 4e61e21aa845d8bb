import { EnvironmentError } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";
import { MissingTool } from "./run-tool.ts";

/** How one run of the `ip` command ended. */
export type IpOutcome =
  | { readonly kind: "done"; readonly stdout: string }
  | { readonly kind: "failed"; readonly stderr: string }
  /** It could not be started or had to be ended, for want of memory, processes or descriptors: later it may. */
  | { readonly kind: "not-run"; readonly reason: string }
  /** There is no `ip` command on PATH. */
  | { readonly kind: "no-command" };

/** A batch complains of each command that fails. */
const MAX_ERROR_BYTES = 16 << 20;

/** Runs `ip` with these arguments; `input` is what a `-batch -` reads. */
export async function runIp(
  machine: Pick<Machine, "run">,
  args: readonly string[],
  { input = "" }: { readonly input?: string } = {},
): Promise<IpOutcome> {
  try {
    const { exitCode, stdout, stderr } = await machine.run("ip", args, { input, maxErrorBytes: MAX_ERROR_BYTES });
    return exitCode === 0 ? { kind: "done", stdout } : { kind: "failed", stderr };
  } catch (error) {
    if (error instanceof MissingTool) return { kind: "no-command" };
    if (error instanceof EnvironmentError) return { kind: "not-run", reason: error.message };
    throw error;
  }
}

/** Why the kernel, or the `ip` command, did not carry out one command. */
export interface IpRefusal {
  readonly kind: "not-permitted" | "no-command" | "not-run" | "failed";
  /** For people: what `ip` said, or what is missing. */
  readonly text: string;
}

const NO_COMMAND: IpRefusal = { kind: "no-command", text: "there is no `ip` command (package iproute2)" };

/**
 * Runs many `ip` commands in one process, going on after one that fails.
 *
 * @param commands without the leading `ip`
 * @param options.family for commands whose arguments do not tell it
 * @returns the refusals by the command's 0-based place; empty where all went well
 */
export async function runIpBatch(
  machine: Pick<Machine, "run">,
  commands: readonly string[],
  { family }: { readonly family?: 4 | 6 } = {},
): Promise<ReadonlyMap<number, IpRefusal>> {
  if (commands.length === 0) return new Map();
  const outcome = await runIp(machine, [...(family === undefined ? [] : [`-${family}`]), "-force", "-batch", "-"], {
    input: `${commands.join("\n")}\n`,
  });
  switch (outcome.kind) {
    case "done":
      return new Map();
    case "no-command":
      return everyCommand(commands, NO_COMMAND);
    case "not-run":
      return everyCommand(commands, refusalOf(outcome));
    case "failed": {
      const refusals = parseBatchErrors(outcome.stderr);
      return refusals.size > 0 ? refusals : everyCommand(commands, refusalFrom(outcome.stderr));
    }
  }
}

function everyCommand(commands: readonly string[], refusal: IpRefusal): ReadonlyMap<number, IpRefusal> {
  return new Map(commands.map((_, index) => [index, refusal]));
}

/** stderr has the reasons of a command and then `Command failed -:LINE`, LINE being 1-based. */
function parseBatchErrors(stderr: string): ReadonlyMap<number, IpRefusal> {
  const refusals = new Map<number, IpRefusal>();
  let reasons: string[] = [];
  for (const line of stderr.split("\n")) {
    const failed = /^Command failed -:(\d+)$/.exec(line);
    if (failed === null) {
      if (line !== "") reasons.push(line);
    } else {
      refusals.set(Number(failed[1]) - 1, refusalFrom(reasons.join("; ")));
      reasons = [];
    }
  }
  return refusals;
}

/** The refusal in the outcome of a single command. */
export function refusalOf(outcome: Exclude<IpOutcome, { kind: "done" }>): IpRefusal {
  switch (outcome.kind) {
    case "no-command":
      return NO_COMMAND;
    case "not-run":
      return { kind: "not-run", text: outcome.reason };
    case "failed":
      return refusalFrom(outcome.stderr);
  }
}

function refusalFrom(stderr: string): IpRefusal {
  if (/operation not permitted/i.test(stderr)) {
    return { kind: "not-permitted", text: "changing addresses and routes needs CAP_NET_ADMIN" };
  }
  const text = stderr.trim().replace(/^(RTNETLINK answers|Error): /, "");
  return { kind: "failed", text: text === "" ? "`ip` gave no reason" : text };
}
