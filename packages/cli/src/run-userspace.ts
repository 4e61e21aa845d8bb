import process from "node:process";
import { thisMachine } from "@svcproxy/host";
import { escapeUnseen, inputError, planHost } from "@svcproxy/topology";
import { accessFields, Daemon, type DaemonSurroundings } from "@svcproxy/userspace";
import { type Logger, pino } from "pino";
import type { CommandContext, ExitCode } from "./command-context.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { readTopology, resolveHost, resolveOwnHost } from "./read-topology.ts";
import { ownProgram, version } from "./this-program.ts";
import type { UserspaceFlags } from "./userspace-flags.ts";
import { metricsAddressOf, proxyOptionsOf, vipDeviceOf, vipRangesOf } from "./userspace-settings.ts";

/** Bytes of access lines that wait for a slow reader; beyond, lines are dropped, because the proxy must not wait. */
const ACCESS_LOG_BYTES = 8 * 1024 * 1024;

/** Runs the proxy until it is told to end. */
export async function runUserspace(
  context: CommandContext,
  { files, flags }: { readonly files: readonly string[]; readonly flags: UserspaceFlags },
): Promise<ExitCode> {
  if (flags.watch === true && files.includes("-")) {
    throw inputError("WATCH_STDIN", "Cannot follow stdin: --watch needs files");
  }
  const vipDevice = vipDeviceOf(flags);
  const metrics = metricsAddressOf(flags);
  const logger = await context.logger();
  const access = flags.accessLog === true ? accessLog(context, logger) : undefined;
  const daemon = new Daemon(
    {
      version,
      proxy: proxyOptionsOf(flags),
      instance: {
        takeOver: flags.takeOver === true,
        ...(flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir }),
      },
      ...(vipDevice === undefined ? {} : { vipDevice }),
      vipRanges: vipRangesOf(flags),
      requireAll: flags.requireAll === true,
      ...(metrics === undefined ? {} : { metrics }),
      topology: files.join(" "),
      watch: flags.watch === true ? [...files, ...(flags.config === undefined ? [] : [flags.config])] : [],
    },
    {
      logger,
      machine: thisMachine,
      loadPlan: planLoader(context, { files, flags }),
      workerProgram: [...ownProgram(), "userspace", "worker"],
      ...(access === undefined ? {} : { onConnectionEnd: access.onConnectionEnd }),
    },
  );
  const forget = handleSignals(daemon);
  try {
    await daemon.start();
    await daemon.finished;
  } finally {
    forget();
    access?.flush();
  }
  return 0;
}

/** Reads the topology each time it is called; the host is found once, because it stays this one. */
function planLoader(
  context: CommandContext,
  { files, flags }: { files: readonly string[]; flags: UserspaceFlags },
): DaemonSurroundings["loadPlan"] {
  let host: string | undefined;
  return async () => {
    const { topology } = await readTopology(context, files, { ...flags, required: true });
    // It is found once: an address that goes meanwhile is not a reason to end.
    host = host === undefined ? resolveOwnHost(topology, flags) : resolveHost(topology, host);
    return planHost(topology, { host, machineAddresses: machineAddresses(vipDeviceOf(flags)) });
  };
}

function handleSignals(daemon: Daemon): () => void {
  const stop = () => daemon.stop();
  const reload = () => void daemon.reload();
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", reload);
  return () => process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", reload);
}

/** On a terminal with the other lines; elsewhere by a stream that never makes the proxy wait for its reader. */
function accessLog(context: CommandContext, logger: Logger) {
  if (context.stderrIsTerminal) return { onConnectionEnd: lineTo(logger), flush: () => {} };
  const destination = pino.destination({ dest: 2, sync: false, maxLength: ACCESS_LOG_BYTES });
  // On a full disk lines are lost, and tried again with the next one. Waiting for it at the end would be for ever.
  let fails = false;
  destination.on("error", () => {
    fails = true;
  });
  destination.on("write", () => {
    fails = false;
  });
  const flush = () => (fails ? destination.destroy() : destination.flushSync());
  return { onConnectionEnd: lineTo(pino({ base: null, hooks: { streamWrite: escapeUnseen } }, destination)), flush };
}

function lineTo(logger: Logger): NonNullable<DaemonSurroundings["onConnectionEnd"]> {
  return (record) => logger.info(accessFields(record), record.protocol === "tcp" ? "connection" : "session");
}
