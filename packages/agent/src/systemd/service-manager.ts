import process from "node:process";
import { repeat, runTool } from "@svcproxy/host";
import { SvcproxyError, visible } from "@svcproxy/topology";

/** What systemd is told; a manager that is not there is told nothing. */
export interface ServiceManager {
  /** The proxy serves; `status` is the line that `systemctl status` shows. */
  ready(status: string): Promise<void>;
  status(status: string): Promise<void>;
  /** The proxy drains and will end. */
  stopping(): Promise<void>;
  /** Stops the watchdog's keep-alives. */
  close(): void;
}

export interface ServiceManagerOptions {
  readonly environment?: NodeJS.ProcessEnv;
  readonly onProblem: (message: string) => void;
}

/** A keep-alive is sent this often within the time that the watchdog waits, so that one may get lost. */
const KEEPALIVES_PER_PERIOD = 3;

/**
 * Talks to systemd by `systemd-notify`, because Node has no unix datagram sockets; so the unit needs `NotifyAccess=all`.
 * @see systemd-notify(1), sd_notify(3), sd_watchdog_enabled(3)
 */
export function connectServiceManager(options: ServiceManagerOptions): ServiceManager {
  const environment = options.environment ?? process.env;
  if ((environment["NOTIFY_SOCKET"] ?? "") === "") {
    const nobody = async () => {};
    return { ready: nobody, status: nobody, stopping: nobody, close: () => {} };
  }
  const notify = (...assignments: readonly string[]) => runNotify(assignments, { ...options, environment });
  const keepAliveMs = keepAliveInterval(environment);
  let keepAlive: NodeJS.Timeout | undefined;
  return {
    ready: async (status) => {
      // The process that took over from the one that systemd started says so.
      await notify(`MAINPID=${process.pid}`, "READY=1", statusLine(status));
      if (keepAliveMs === undefined) return;
      // A timer of the event loop that serves: a hang keeps it from being sent, and ends in a restart.
      keepAlive ??= repeat(() => notify("WATCHDOG=1"), {
        everyMs: keepAliveMs,
        onFault: (error) => options.onProblem(`Cannot tell systemd WATCHDOG=1: ${String(error)}`),
      });
    },
    status: (status) => notify(statusLine(status)),
    stopping: () => notify("STOPPING=1"),
    close: () => clearInterval(keepAlive),
  };
}

/** A line break would begin another assignment. */
function statusLine(status: string): string {
  return `STATUS=${visible(status)}`;
}

/** Milliseconds between two keep-alives; undefined where the unit has no watchdog, or one for another process. */
function keepAliveInterval(environment: NodeJS.ProcessEnv): number | undefined {
  const periodMicroseconds = Number(environment["WATCHDOG_USEC"]);
  const pid = environment["WATCHDOG_PID"];
  if (!(periodMicroseconds > 0) || (pid !== undefined && pid !== String(process.pid))) return undefined;
  return periodMicroseconds / 1000 / KEEPALIVES_PER_PERIOD;
}

async function runNotify(
  assignments: readonly string[],
  { environment, onProblem }: ServiceManagerOptions & { environment: NodeJS.ProcessEnv },
): Promise<void> {
  const doing = `Cannot tell systemd ${assignments.join(" ")}`;
  try {
    // Without --no-block it stays until systemd has read the message, which has to see the process that sent it.
    const { exitCode } = await runTool("systemd-notify", assignments, { env: environment });
    if (exitCode > 0) onProblem(`${doing}: exit code ${exitCode}`);
  } catch (error) {
    if (!(error instanceof SvcproxyError)) throw error;
    onProblem(`${doing}: ${error.message}`);
  }
}
