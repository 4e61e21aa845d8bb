import process from "node:process";
import { FileSource, groupId, HostAgent, type HostAgentOptions } from "@svcproxy/agent";
import { type HostPlan, inputError, planHost, type Topology } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "./command-context.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { readAllowedBlock, resolveHost, resolveOwnHost, topologyRequired } from "./read-topology.ts";
import { ownProgram, version } from "./this-program.ts";
import type { TopologyFlags } from "./topology-input.ts";
import { metricsAddressOf } from "./userspace-settings.ts";

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
  readonly kubeconfig?: string;
  readonly context?: string;
  readonly hostnameOverride?: string;
  readonly initOnly?: true;
  readonly serviceSeries: number;
  readonly trafficCounters?: true;
}

/** Keeps this host true to a topology until it is told to end. */
export async function runAgent(
  context: CommandContext,
  { files, flags }: { readonly files: readonly string[]; readonly flags: RunFlags },
): Promise<ExitCode> {
  if (files.length === 0) throw topologyRequired();
  if (files.includes("-")) throw inputError("WATCH_STDIN", "Cannot follow stdin: svcproxy run needs files");
  const logger = await context.logger();
  const source = new FileSource({
    inputs: files,
    ...(flags.config === undefined ? {} : { config: flags.config }),
    allowExternalIPs: (flags.allowExternalIps ?? []).map(readAllowedBlock),
    watch: true,
    onPassedOver: (counts) =>
      logger.info({ passedOver: Object.fromEntries(counts) }, "objects of other kinds were passed over"),
  });
  return keepHost({
    ...{ source, logger, flags, plan: planner(flags), refresh: () => source.refresh() },
    healthAddress: addressOf(flags.healthzBindAddress ?? "127.0.0.1:10256"),
    metricsAddress: addressOf(flags.metricsBindAddress ?? "127.0.0.1:10249"),
  });
}

export interface KeptHost
  extends Pick<
    HostAgentOptions,
    "source" | "logger" | "plan" | "healthAddress" | "metricsAddress" | "waitsForPorts" | "onServing"
  > {
  readonly flags: RunFlags;
  /** Reads the source again. */
  readonly refresh: () => void;
}

/** Runs an agent until it is told to end. */
export async function keepHost({ flags, refresh, ...options }: KeptHost): Promise<ExitCode> {
  const agent = new HostAgent({
    ...options,
    ...{ version, dataPath: flags.dataPath },
    takePorts: new Set(flags.takePort),
    guardLeast: flags.guard,
    socketGroup: flags.socketGroup === undefined ? undefined : await groupId(flags.socketGroup),
    cleansUpOnExit: flags.cleanupOnExit === true,
    serviceSeries: flags.serviceSeries,
    countsTraffic: flags.trafficCounters === true,
    workerProgram: [...ownProgram(), "userspace", "worker"],
  });
  const stop = () => void agent.stop();
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", refresh);
  try {
    await agent.start();
    await agent.finished;
  } finally {
    process.off("SIGTERM", stop).off("SIGINT", stop).off("SIGHUP", refresh);
  }
  return 0;
}

/** @throws InputError METRICS_ADDRESS */
export function addressOf(flag: string) {
  return flag === "none" ? undefined : metricsAddressOf({ metrics: flag });
}

/** The host is found once: an address that goes meanwhile is not a reason to end. */
function planner(flags: RunFlags) {
  let host: string | undefined;
  return (topology: Topology, previous: HostPlan | undefined): HostPlan => {
    const name = host === undefined ? resolveOwnHost(topology, flags) : resolveHost(topology, host);
    host = name;
    return planHost(topology, {
      host: name,
      machineAddresses: machineAddresses(),
      ...(previous === undefined ? {} : { previous }),
    });
  };
}
