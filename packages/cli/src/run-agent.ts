import process from "node:process";
import { groupId, HostAgent, type HostAgentOptions, type HostAgentStatus } from "@svcproxy/agent";
import { type HostPlan, planHost, type Topology } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "./command-context.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { openSource } from "./open-source.ts";
import { resolveHost, resolveOwnHost } from "./read-topology.ts";
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
}

/** Keeps this host true to a topology until it is told to end. */
export async function runAgent(
  context: CommandContext,
  { files, flags }: { readonly files: readonly string[]; readonly flags: RunFlags },
): Promise<ExitCode> {
  const logger = await context.logger();
  const { plan, ownHost } = planner(flags);
  const source = await openSource({ files, flags, logger, guardLeast: flags.guard, ownHost });
  return keepHost({
    ...{ source, logger, flags, plan, refresh: () => source.refresh() },
    ...(source.tellStanding === undefined ? {} : { tellStanding: source.tellStanding }),
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
  /** Lets others know how this host stands, until it is disposed. */
  readonly tellStanding?: (status: () => HostAgentStatus) => AsyncDisposable;
}

/** Runs an agent until it is told to end. */
export async function keepHost({ flags, refresh, tellStanding, ...options }: KeptHost): Promise<ExitCode> {
  const agent = new HostAgent({
    ...options,
    ...{ version, dataPath: flags.dataPath },
    takePorts: new Set(flags.takePort),
    guardLeast: flags.guard,
    socketGroup: flags.socketGroup === undefined ? undefined : await groupId(flags.socketGroup),
    cleansUpOnExit: flags.cleanupOnExit === true,
    workerProgram: [...ownProgram(), "userspace", "worker"],
  });
  const stop = () => void agent.stop();
  process.on("SIGTERM", stop).on("SIGINT", stop).on("SIGHUP", refresh);
  try {
    await agent.start();
    await using _standing = tellStanding?.(() => agent.status());
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
