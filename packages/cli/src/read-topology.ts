import { readFileSync, statSync } from "node:fs";
import { networkInterfaces } from "node:os";
import {
  exampleTopology,
  fileFault,
  formatFault,
  type InputFile,
  inputError,
  MAX_FILE_BYTES,
  type ParsedTopology,
  parseIpAddress,
  parseTopology,
  type Topology,
} from "@svcproxy/topology";
import type { CommandContext } from "./command-context.ts";
import type { TopologyFlags } from "./topology-input.ts";

export { planHost } from "@svcproxy/topology";

export interface ReadTopologyOptions extends TopologyFlags {
  /** Set by commands that change or judge this host: they take no example for it. */
  readonly required?: boolean;
}

/**
 * Reads the topology that a command line names; without one, the built-in example, which stderr then says.
 * Warnings have been printed when it returns.
 *
 * @param args files, or `-` for stdin
 * @throws InputError with every fault of the input; TOPOLOGY_REQUIRED where there is none and the command needs one
 */
export async function readTopology(
  context: CommandContext,
  args: readonly string[] | undefined,
  options: ReadTopologyOptions = {},
): Promise<ParsedTopology> {
  const parsed = await parseArguments(context, args ?? [], options);
  for (const warning of parsed.warnings) context.note(formatFault(warning));
  return parsed;
}

async function parseArguments(
  context: CommandContext,
  args: readonly string[],
  { required = false }: ReadTopologyOptions,
): Promise<ParsedTopology> {
  const [first, second] = args;
  if (first === undefined) {
    if (required) {
      throw inputError("TOPOLOGY_REQUIRED", "This command needs a topology: it acts on this host", {
        hint: "Name a file, or - for stdin; `svcproxy schema` prints the format",
      });
    }
    context.note("svcproxy: no topology given, using the built-in example (hosts cloudos1 and cloudos2)");
    return exampleTopology();
  }
  if (second !== undefined) {
    throw inputError("SEVERAL_TOPOLOGIES", `A topology is one file, and ${args.length} are given`);
  }
  const { file, bytes } = await readInput(context, first);
  return parseTopology(bytes, { file });
}

async function readInput(context: CommandContext, name: string): Promise<InputFile> {
  if (name === "-") return { file: "<stdin>", bytes: await context.readStdin() };
  try {
    // Synchronous: starting the thread pool and loading fs/promises take longer than the read.
    const { size } = statSync(name);
    if (size > MAX_FILE_BYTES)
      throw fileFault("FILE_TOO_LARGE", name, `Cannot read ${size} bytes: a file may hold 64 MiB`);
    return { file: name, bytes: readFileSync(name) };
  } catch (error) {
    throw unreadable(name, error);
  }
}

const READ_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file",
  EACCES: "permission denied",
  EISDIR: "it is a directory",
  ENOTDIR: "a part of the path is no directory",
};

/** A system error as a fault of the input; anything else stays what it is. */
function unreadable(name: string, error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error && "code" in error)) return error;
  const reason = READ_FAILURES[String(error.code)] ?? error.message;
  return inputError("FILE_UNREADABLE", `Cannot read ${JSON.stringify(name)}: ${reason}`, { cause: error });
}

/**
 * The host to plan for: the one that `--host` names, or the only one that owns an address of this machine.
 *
 * @throws InputError UNKNOWN_HOST or HOST_REQUIRED
 */
export function resolveHost(
  topology: Topology,
  flag: string | undefined,
  { localAddresses = ownAddresses() }: { readonly localAddresses?: readonly string[] } = {},
): string {
  const names = topology.hosts.map(({ name }) => JSON.stringify(name)).join(", ");
  const hint = names === "" ? "The topology lists no host" : `Hosts of the topology: ${names}`;
  if (flag !== undefined) {
    if (topology.hosts.some(({ name }) => name === flag)) return flag;
    throw inputError("UNKNOWN_HOST", `The topology lists no host ${JSON.stringify(flag)}`, { hint });
  }
  const local = new Set(localAddresses.map(parseIpAddress));
  const [host, another] = topology.hosts.filter(({ addresses }) => addresses.some((address) => local.has(address)));
  if (host !== undefined && another === undefined) return host.name;
  const reason =
    host === undefined
      ? "no host of the topology owns an address of this machine"
      : "several hosts of the topology own an address of this machine";
  throw inputError("HOST_REQUIRED", `Name the host with --host: ${reason}`, { hint });
}

function ownAddresses(): readonly string[] {
  return Object.values(networkInterfaces()).flatMap((entries) => (entries ?? []).map(({ address }) => address));
}
