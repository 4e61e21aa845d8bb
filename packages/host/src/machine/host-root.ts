import { lstatSync, readlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import process from "node:process";

/**
 * Where the host's file system is mounted in a container: rules are then read and written by the host's own programs, because another version of
 * nft can crash on what the host's wrote, and the host's on ours.
 */
export const HOST_ROOT_VARIABLE = "SVCPROXY_HOST_ROOT";

/** Programs that change rules. */
const RULE_TOOL = /^(?:nft|(?:ip6?tables|xtables)(?:-nft|-legacy)?(?:-(?:save|restore|multi))*)$/;

const FOLDERS = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/local/bin", "/usr/bin", "/bin"] as const;
/** Alternatives are links to links. */
const MAX_LINKS = 10;

/** A program, and what comes before its arguments. */
export interface ToolCommand {
  readonly program: string;
  readonly before: readonly string[];
}

/** How a tool is run: the host's, where its file system is mounted and has it; else the one that PATH leads to. */
export function toolCommand(tool: string, root: string | undefined = process.env[HOST_ROOT_VARIABLE]): ToolCommand {
  const path = root === undefined || root === "" ? undefined : findInRoot(root, tool);
  return path === undefined || root === undefined
    ? { program: tool, before: [] }
    : { program: "chroot", before: [root, path] };
}

/** Its path inside, where it is a program that changes rules. */
export function findInRoot(root: string, tool: string): string | undefined {
  if (!RULE_TOOL.test(tool)) return undefined;
  return FOLDERS.map((folder) => join(folder, tool)).find((path) => fileInRoot(root, path) !== undefined);
}

/** The file at a path inside; links lead to where they would there. Undefined where there is none. */
export function fileInRoot(root: string, path: string): string | undefined {
  let at = path;
  for (let links = 0; links < MAX_LINKS; links++) {
    try {
      const stats = lstatSync(join(root, at));
      if (!stats.isSymbolicLink()) return stats.isFile() ? join(root, at) : undefined;
      at = resolve(dirname(at), readlinkSync(join(root, at)));
    } catch {
      return undefined;
    }
  }
  return undefined;
}
