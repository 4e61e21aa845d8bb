import { EnvironmentError, SvcproxyError } from "@svcproxy/topology";
import type { Machine } from "../machine/machine.ts";
import { MissingTool } from "../tools/run-tool.ts";
import { packageOf } from "../tools/tool-path.ts";

/** Something of a host that could not be read, and why, in half a sentence. */
export interface UnreadPart {
  /** Its key in the file: `ipset`, `udpFlows`. */
  readonly part: string;
  readonly because: string;
}

/** What was read of one part, or why it was not. */
export type PartReading<Value> = { readonly value: Value } | { readonly because: string };

/** A listing of 10,000 services takes nft some ten seconds. */
const TIMEOUT_MS = 90_000;

/** Codes of a tool that could not be run to its end. */
const FAILURES: ReadonlySet<string> = new Set(["TOOL_FAILED", "NFT_CRASHED"]);

/** What one tool may print: the rules of some 50,000 services. */
const MAX_OUTPUT_BYTES = 64 << 20;

export interface Command {
  readonly tool: string;
  readonly args: readonly string[];
  /** Default 64 MiB. */
  readonly maxOutputBytes?: number;
}

/**
 * What a tool prints, or why it does not: it is not here, needs rights that we lack, refuses, or prints without end.
 *
 * @throws EnvironmentError INTERRUPTED, OUT_OF_DESCRIPTORS
 */
export async function readCommand(
  machine: Pick<Machine, "run">,
  { tool, args, maxOutputBytes = MAX_OUTPUT_BYTES }: Command,
  signal: AbortSignal,
): Promise<PartReading<string>> {
  try {
    const output = await machine.run(tool, args, { signal, timeoutMs: TIMEOUT_MS, maxOutputBytes });
    if (output.exitCode === 0) return { value: output.stdout };
    return { because: whyRefused(tool, output.stderr) };
  } catch (error) {
    if (error instanceof MissingTool)
      return { because: `${tool} is not on this machine (apt-get install ${packageOf(tool)})` };
    if (error instanceof EnvironmentError && FAILURES.has(error.code)) return { because: error.message };
    throw error;
  }
}

const NEEDS_RIGHTS = /must be root|Permission denied|Operation not permitted|EPERM/i;

function whyRefused(tool: string, stderr: string): string {
  const [line = "it gives no reason"] = stderr.split("\n").filter((text) => text.trim() !== "");
  return NEEDS_RIGHTS.test(stderr) ? `${tool} needs root (CAP_NET_ADMIN)` : `${tool} says: ${line.trim()}`;
}

/** The same of a tool that prints JSON; nothing at all is an empty list. */
export async function readJsonCommand(
  machine: Pick<Machine, "run">,
  command: Command,
  signal: AbortSignal,
): Promise<PartReading<unknown>> {
  const reading = await readCommand(machine, command, signal);
  if ("because" in reading) return reading;
  try {
    return { value: JSON.parse(reading.value.trim() === "" ? "[]" : reading.value) };
  } catch (error) {
    return { because: `${command.tool} printed something else than JSON: ${describe(error)}` };
  }
}

/** A file of /proc. */
export async function readProc(machine: Pick<Machine, "readProcFile">, path: string): Promise<PartReading<string>> {
  const value = await machine.readProcFile(path);
  return value === undefined ? { because: `this kernel has no ${path}, or it may not be read` } : { value };
}

/** What `read` gives, or the fault that kept it from that. */
export async function readGuarded<Value>(read: () => Promise<Value>): Promise<PartReading<Value>> {
  try {
    return { value: await read() };
  } catch (error) {
    if (error instanceof SvcproxyError && error.code !== "INTERRUPTED") return { because: error.message };
    throw error;
  }
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
