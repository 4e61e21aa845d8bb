import process from "node:process";
import { toolCommand } from "../machine/host-root.ts";
import { hasTool } from "./tool-path.ts";

/** The program, with arguments, that runs `nft monitor` or `ip monitor`. Where it can be, it ends with us. */
export function monitorCommand(tool: "nft" | "ip", args: readonly string[]): readonly [string, ...string[]] {
  const { program, before } = toolCommand(tool);
  return endWithUs([program, ...before, ...args]);
}

/**
 * Makes a command, a program with arguments, end with us where it can be, kill -9 included: what waits for the kernel to say something would not
 * notice for long on a quiet host. We may have ended before that was settled, which the shell looks at.
 *
 * @see setpriv(1)
 */
export function endWithUs(command: readonly [string, ...string[]]): readonly [string, ...string[]] {
  if (!hasTool("setpriv")) return command;
  const script = '[ "$PPID" = "$1" ] && shift && exec "$@"';
  return ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script, "sh", String(process.pid), ...command];
}
