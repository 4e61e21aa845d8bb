import { EnvironmentError } from "@svcproxy/topology";
import type { Lab } from "./lab.ts";

export interface BackgroundCommand {
  readonly place: string;
  readonly command: readonly string[];
  /** Where its output goes, as the place sees it. */
  readonly log: string;
  /** A text that its output has as soon as it is ready. */
  readonly readyText: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Where the command ends at once, its log says why. */
const START = `
log=$1; ready=$2; shift 2
# Emptied at once: what an earlier command wrote there must not be taken for this one's.
: >"$log"
"$@" </dev/null >>"$log" 2>&1 &
pid=$!
tries=0
while kill -0 "$pid" 2>/dev/null; do
  if grep -qF -- "$ready" "$log"; then echo "$pid"; exit 0; fi
  tries=$((tries + 1))
  if [ "$tries" -ge 300 ]; then echo "it is not ready after 30 s" >&2; break; fi
  sleep 0.1
done
cat "$log" >&2
exit 1
`;

/**
 * Starts a command that stays until the lab ends, and waits until it is ready.
 *
 * @returns its pid, as the lab numbers its processes
 * @throws EnvironmentError LAB_COMMAND_FAILED with the end of its output
 */
export async function startInBackground(lab: Lab, background: BackgroundCommand): Promise<number> {
  const { place, command, log, readyText, env = {} } = background;
  const { exitCode, stdout, stderr } = await lab.run(place, ["sh", "-c", START, "sh", log, readyText, ...command], {
    env,
  });
  if (exitCode === 0) return Number(stdout.trim());
  const said = stderr.trim().split("\n").slice(-8).join("\n");
  throw new EnvironmentError("LAB_COMMAND_FAILED", `A command in ${JSON.stringify(place)} did not start: ${said}`);
}
