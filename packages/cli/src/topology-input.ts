import type { Command } from "commander";
import type { CommandContext } from "./command-context.ts";

/** The flags with which a command that reads a topology is told about it. */
export interface TopologyFlags {
  readonly config?: string;
  readonly allowExternalIps?: readonly string[];
}

/** Declares the TOPOLOGY argument and its flags; the action gets the files as its first argument (`string[]`, empty where none is given). */
export function acceptTopology(command: Command): Command {
  return command
    .argument("[topology...]", "topology file, or Kubernetes objects: files, a directory, or - for stdin")
    .option("--config <file>", "settings of the data path from a KubeProxyConfiguration")
    .option(
      "--allow-external-ips <cidr>",
      "serve externalIPs of Kubernetes objects in this block (repeatable)",
      (cidr: string, before: readonly string[] = []) => [...before, cidr],
    );
}

/** What the command line names, else this host's own topology, which stderr then says; nothing where there is none. */
export function sourcesOf(context: CommandContext, files: readonly string[]): readonly string[] {
  const { defaultSource } = context;
  if (files.length > 0 || defaultSource === undefined) return files;
  context.note(`svcproxy: no topology given, using ${defaultSource}`);
  return [defaultSource];
}
