import process from "node:process";
import {
  groupId,
  HostAgent,
  type HostAgentOptions,
  type HostAgentStatus,
  keepHeapSmall,
  SUCCEEDED_SIGNAL,
  setOomScore,
} from "@svcproxy/agent";
import { type ConntrackLimits, raiseConntrackLimits, thisMachine } from "@svcproxy/host";
import {
  type ConntrackSettings,
  type HostPlan,
  type ParsedProxyConfiguration,
  parseProxyConfiguration,
  planHost,
  type Topology,
  visible,
} from "@svcproxy/topology";
import type { Logger } from "pino";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { ownProgram, takingOver, version } from "../command-line/this-program.ts";
import { metricsAddressOf } from "../flags/userspace-settings.ts";
import { machineAddresses } from "../source/machine-addresses.ts";
import { openSource } from "../source/open-source.ts";
import { readConfigurationFile, resolveHost, resolveOwnHost } from "../source/read-topology.ts";
import type { TopologyFlags } from "../source/topology-input.ts";

export interface RunFlags extends TopologyFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly takePort?: readonly number[];
  readonly dataPath: "auto" | "nftables" | "iptables" | "userspace";
  readonly guard: number;
  readonly healthzBindAddress?: string;
  readonly metricsBindAddress?: string;
  readonly socketGroup?: string;
  readonly cleanupOnExit?: true;
  readonly takeOver?: true;
  readonly hostnameOverride?: string;
  readonly initOnly?: true;
  readonly serviceSeries: number;
  readonly trafficCounters?: true;
  readonly replace?: "kube-proxy";
  readonly giveBack?: true;
}

/** Keeps this host true to a topology until it is told to end. */
export async function runAgent(
  context: CommandContext,
  { files, flags }: { readonly files: readonly string[]; readonly flags: RunFlags },
): Promise<ExitCode> {
  const logger = await context.logger();
  const program = flags.config === undefined ? undefined : readConfiguration(flags.config).program;
  const { plan, ownHost } = planner({ host: program?.hostnameOverride, ...flags });
  const source = await openSource({ files, flags, logger, guardLeast: flags.guard, ownHost });
  if (program?.oomScoreAdj !== undefined && !(await setOomScore(program.oomScoreAdj)))
    logger.info({ score: program.oomScoreAdj }, "oom_score_adj stays as it is: to lower it takes CAP_SYS_RESOURCE");
  return keepHost({
    ...{ source, logger, flags, plan, refresh: () => source.refresh() },
    ...(source.tellStanding === undefined ? {} : { tellStanding: source.tellStanding }),
    healthAddress: addressOf(flags.healthzBindAddress ?? program?.healthzBindAddress ?? "127.0.0.1:10256"),
    metricsAddress: addressOf(flags.metricsBindAddress ?? program?.metricsBindAddress ?? "127.0.0.1:10249"),
    waitsForPorts: program?.bindAddressHardFail === false,
    minSyncMs: () => 1_000 * (program?.minSyncSeconds ?? 0),
    onServing: async () => tellLimits(logger, await raiseLimits(program?.conntrack)),
  });
}

/** Without a configuration only the room for connections is made; how long they are remembered is this host's own choice. */
function raiseLimits(settings: ConntrackSettings | undefined): Promise<ConntrackLimits> {
  const wanted = settings ?? { tcpBeLiberal: false, tcpEstablishedSeconds: 0, tcpCloseWaitSeconds: 0 };
  return raiseConntrackLimits(thisMachine, wanted);
}

function tellLimits(logger: Logger, { set, problems }: ConntrackLimits): void {
  if (set.length > 0) logger.info({ set }, `set ${set.join(", ")}`);
  for (const { code, subject, text } of problems) logger.warn({ code, subject }, visible(text));
}

function readConfiguration(path: string): ParsedProxyConfiguration {
  return parseProxyConfiguration(readConfigurationFile(path), { followsCluster: true });
}

export interface KeptHost
  extends Pick<
    HostAgentOptions,
    | "source"
    | "logger"
    | "told"
    | "plan"
    | "healthAddress"
    | "metricsAddress"
    | "waitsForPorts"
    | "onServing"
    | "minSyncMs"
  > {
  readonly flags: RunFlags;
  /** Reads the source again. */
  readonly refresh: () => void;
  /** Lets others know how this host stands, until it is disposed. */
  readonly tellStanding?: (status: () => HostAgentStatus) => AsyncDisposable;
}

/** Runs an agent until it is told to end. */
export async function keepHost({ flags, refresh, tellStanding, ...options }: KeptHost): Promise<ExitCode> {
  keepHeapSmall();
  const agent = new HostAgent({
    ...options,
    ...{ version, dataPath: flags.dataPath, replacesKubeProxy: flags.replace === "kube-proxy" },
    takePorts: new Set(flags.takePort),
    guardLeast: flags.guard,
    socketGroup: flags.socketGroup === undefined ? undefined : await groupId(flags.socketGroup),
    cleansUpOnExit: flags.cleanupOnExit === true,
    serviceSeries: flags.serviceSeries,
    countsTraffic: flags.trafficCounters === true,
    workerProgram: [...ownProgram(), "userspace", "worker"],
    findingsProgram: [...ownProgram(), "findings"],
    takesOver: flags.takeOver === true,
    successorProgram: [...ownProgram(), ...takingOver(process.argv.slice(2))],
  });
  const stop = () => void agent.stop();
  const succeeded = () => void agent.succeeded();
  const reload = () => {
    if (!agent.reload()) refresh();
  };
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", reload).on(SUCCEEDED_SIGNAL, succeeded);
  try {
    await agent.start();
    await using _standing = tellStanding?.(() => agent.status());
    await agent.finished;
  } finally {
    process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", reload).off(SUCCEEDED_SIGNAL, succeeded);
  }
  return 0;
}

/** @throws InputError METRICS_ADDRESS */
export function addressOf(flag: string) {
  return flag === "none" ? undefined : metricsAddressOf({ metrics: flag });
}

/** The host is found once: an address that goes meanwhile is not a reason to end. */
function planner(flags: Pick<RunFlags, "foreignHost"> & { readonly host?: string | undefined }) {
  let host: string | undefined;
  const plan = (topology: Topology, previous: HostPlan | undefined): HostPlan => {
    const name = host === undefined ? resolveOwnHost(topology, flags) : resolveHost(topology, host);
    host = name;
    return planHost(topology, {
      host: name,
      machineAddresses: machineAddresses(),
      ...(previous === undefined ? {} : { previous }),
    });
  };
  return { plan, ownHost: () => host };
}
