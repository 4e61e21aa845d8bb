import { statSync } from "node:fs";
import process from "node:process";
import { FileSource, type Source, UserspaceAgent } from "@svcproxy/agent";
import { thisMachine } from "@svcproxy/host";
import { escapeUnseen, type HostPlan, type InputFile, inputError, planHost, type Topology } from "@svcproxy/topology";
import { accessFields, type UserspaceSurroundings } from "@svcproxy/userspace";
import { type Logger, pino } from "pino";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { logProblems } from "../command-line/log-problems.ts";
import { ownProgram, takingOver, version } from "../command-line/this-program.ts";
import type { UserspaceFlags } from "../flags/userspace-flags.ts";
import {
  metricsAddressOf,
  proxyOptionsOf,
  vipDeviceOf,
  vipIsolationOf,
  vipRangesOf,
} from "../flags/userspace-settings.ts";
import { machineAddresses } from "../source/machine-addresses.ts";
import { openCluster } from "../source/open-cluster.ts";
import { openEtcd } from "../source/open-source.ts";
import { readInputFiles } from "../source/read-files.ts";
import {
  readAllowedBlock,
  readConfiguration,
  resolveHost,
  resolveOwnHost,
  topologyRequired,
} from "../source/read-topology.ts";
import { etcdUrlOf, isCluster } from "../source/topology-input.ts";
import { besideRules } from "./beside-rules.ts";

/** Bytes of access lines that wait for a slow reader; beyond, lines are dropped, because the proxy must not wait. */
const ACCESS_LOG_BYTES = 8 * 1024 * 1024;

/** Runs the proxy until it is told to end. @param input.argv the arguments after the program's name */
export async function runUserspace(
  context: CommandContext,
  {
    files,
    flags,
    argv,
  }: { readonly files: readonly string[]; readonly flags: UserspaceFlags; readonly argv: readonly string[] },
): Promise<ExitCode> {
  const vipDevice = vipDeviceOf(flags);
  const metrics = metricsAddressOf(flags);
  const logger = await context.logger();
  await logProblems(context, await besideRules(thisMachine, context.signal));
  const { plan, ownHost } = planner(flags, vipDevice);
  const source = await sourceOf(context, { files, flags, logger, ownHost });
  const access = flags.accessLog === true ? accessLog(context, logger) : undefined;
  const agent = new UserspaceAgent(
    {
      version,
      settings: {
        proxy: proxyOptionsOf(flags),
        instance: {
          takeOver: flags.takeOver === true,
          ...(flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir }),
        },
        vipDevice,
        vipRanges: vipRangesOf(flags),
        vipIsolation: vipIsolationOf(flags),
        requireAll: flags.requireAll === true,
      },
      ...(metrics === undefined ? {} : { metrics }),
      takenOverTimeoutMs: flags.drainTimeout ?? Number.POSITIVE_INFINITY,
    },
    {
      logger,
      machine: thisMachine,
      source,
      plan,
      workerProgram: [...ownProgram(), "userspace", "worker"],
      // What came by stdin is gone.
      ...(files.includes("-") ? {} : { successorProgram: [...ownProgram(), ...takingOver(argv)] }),
      ...(access === undefined ? {} : { onConnectionEnd: access.onConnectionEnd }),
    },
  );
  const forget = handleSignals(agent);
  try {
    await agent.start();
    await agent.finished;
  } finally {
    forget();
    access?.flush();
  }
  return 0;
}

/** As the default of `svcproxy run --guard`. */
const STALE_LEAST = 10;

interface SourceInput {
  readonly files: readonly string[];
  readonly flags: UserspaceFlags;
  readonly logger: Logger;
  readonly ownHost: () => string | undefined;
}

async function sourceOf(
  context: CommandContext,
  { files, flags, logger, ownHost }: SourceInput,
): Promise<Source & { refresh(): void }> {
  const { watch = false, config, allowExternalIps = [] } = flags;
  if (files.length === 0) throw topologyRequired();
  const url = etcdUrlOf(files, flags);
  // These are followed with and without --watch: what serves there comes and goes.
  if (url !== undefined) return openEtcd(url, { files, flags, logger, ownHost, guardLeast: STALE_LEAST });
  if (isCluster(files, flags)) {
    const configuration = config === undefined ? undefined : readConfiguration(config);
    return (await openCluster({ flags, configuration, nodeFlag: flags.host, logger })).source;
  }
  return new FileSource({
    inputs: (await Promise.all(files.map((file) => sourceInput(context, { file, watch })))).flat(),
    ...(config === undefined ? {} : { config }),
    allowExternalIPs: allowExternalIps.map(readAllowedBlock),
    watch,
    startsWhole: true,
    onPassedOver: (counts) =>
      logger.info({ passedOver: Object.fromEntries(counts) }, "objects of other kinds were passed over"),
  });
}

/** What can be read once only (stdin, a pipe) is read now, unless it was to be followed. */
async function sourceInput(
  context: CommandContext,
  { file, watch }: { readonly file: string; readonly watch: boolean },
): Promise<readonly (string | InputFile)[]> {
  if (file === "-" && watch) throw inputError("WATCH_STDIN", "Cannot follow stdin: --watch needs files");
  const isPipe = file === "-" || statSync(file, { throwIfNoEntry: false })?.isFIFO() === true;
  return isPipe && !watch ? readInputFiles(context, [file]) : [file];
}

/** The host is found once: an address that goes meanwhile is not a reason to end. */
function planner(flags: UserspaceFlags, vipDevice: string | undefined) {
  let host: string | undefined;
  const plan = (topology: Topology, previous: HostPlan | undefined): HostPlan => {
    host = host === undefined ? resolveOwnHost(topology, flags) : resolveHost(topology, host);
    return planHost(topology, {
      host,
      machineAddresses: machineAddresses(vipDevice),
      ...(previous === undefined ? {} : { previous }),
    });
  };
  return { plan, ownHost: () => host };
}

function handleSignals(agent: UserspaceAgent): () => void {
  const stop = () => agent.stop();
  const reload = () => agent.reload();
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

function lineTo(logger: Logger): NonNullable<UserspaceSurroundings["onConnectionEnd"]> {
  return (record) => logger.info(accessFields(record), record.protocol === "tcp" ? "connection" : "session");
}
