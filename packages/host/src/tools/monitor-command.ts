import process from "node:process";
import { toolCommand } from "../machine/host-root.ts";
import { hasTool } from "./tool-path.ts";

/**
 * The program, with arguments, that runs `nft monitor` or `ip monitor`. Where it can be, it ends with us, kill -9 included: on a quiet host it would not
 * notice for long. We may have ended before that was settled, which the shell looks at.
 *
 * @see setpriv(1)
 */
export function monitorCommand(tool: "nft" | "ip", args: readonly string[]): readonly [string, ...string[]] {
  const { program, before } = toolCommand(tool);
  if (!hasTool("setpriv")) return [program, ...before, ...args];
  const script = '[ "$PPID" = "$1" ] && shift && exec "$@"';
  return ["setpriv", "--pdeathsig", "KILL", "sh", "-c", script, "sh", String(process.pid), program, ...before, ...args];
}
