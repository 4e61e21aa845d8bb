import { resolve } from "node:path";
import { renderUnit } from "@svcproxy/agent";
import { inputError } from "@svcproxy/topology";
import { ownProgram } from "../command-line/this-program.ts";
import type { UserspaceFlags } from "../flags/userspace-flags.ts";
import { proxyOptionsOf } from "../flags/userspace-settings.ts";
import { isPath } from "../source/topology-input.ts";

/** What comes after the drain: connections are reset, VIPs taken away. */
const CLEAN_UP_SECONDS = 10;

/**
 * The systemd unit for the command line that was given, with files as absolute paths.
 *
 * @param argv the arguments after the program's name
 * @throws InputError where there is no topology file
 */
export function printUnit(input: {
  readonly files: readonly string[];
  readonly flags: UserspaceFlags;
  readonly argv: readonly string[];
}): string {
  const { files, flags, argv } = input;
  if (files.length === 0 || files.includes("-")) {
    throw inputError("TOPOLOGY_REQUIRED", "A unit needs a topology file: name the one that the proxy is to serve");
  }
  const given = [...files.filter(isPath), flags.config, flags.etcdConfig, flags.kubeconfig];
  const paths = new Set(given.filter((path) => path !== undefined));
  const program = ownProgram();
  const args = argv.filter((arg) => arg !== "--print-unit").map((arg) => (paths.has(arg) ? resolve(arg) : arg));
  const instance = flags.runtimeDir === undefined ? [] : ["--runtime-dir", resolve(flags.runtimeDir)];
  return renderUnit({
    command: [...program, ...args],
    reloadCommand: [...program, "userspace", "reload", ...instance],
    cleanupCommand: [...program, "userspace", "cleanup", ...instance],
    stopTimeoutSeconds: Math.ceil(proxyOptionsOf(flags).drainTimeoutMs / 1000) + CLEAN_UP_SECONDS,
  });
}
