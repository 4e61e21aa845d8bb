import { giveBack, type KubernetesSource, lockHost, setOomScore } from "@svcproxy/agent";
import { makeRuntimeDirectory, ROUTE_LOCALNET, raiseConntrackLimits, thisMachine } from "@svcproxy/host";
import {
  changedProgramFields,
  formatProblem,
  type HostPlan,
  InputError,
  inputError,
  kubeProxyDefaults,
  type ParsedProxyConfiguration,
  type Problem,
  parseProxyConfiguration,
  planHost,
  problemOf,
  problemSentence,
  type Topology,
} from "@svcproxy/topology";
import type { Logger } from "pino";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { watchFile } from "../command-line/watch-file.ts";
import { openDataPath as openRules } from "../host-rules/host-rules.ts";
import { openDataPath as openTables } from "../host-rules/host-tables.ts";
import { machineAddresses } from "../source/machine-addresses.ts";
import { openCluster } from "../source/open-cluster.ts";
import { readConfigurationFile } from "../source/read-topology.ts";
import { addressOf, keepHost, type RunFlags } from "./run-agent.ts";

/** kube-proxy's own: the kernel takes it last. */
const OOM_SCORE = -999;

/** Keeps this host true to the cluster that it is a node of, until it is told to end. */
export async function runKubernetes(context: CommandContext, flags: RunFlags): Promise<ExitCode> {
  const logger = await context.logger();
  const configuration = flags.config === undefined ? undefined : readConfiguration(flags.config);
  const told = (configuration?.warnings ?? []).map(problemOf);
  // At once, and not only when the cluster has told all that there is.
  tellAll(logger, told);
  if (flags.initOnly === true) return initializeHost(context, configuration);
  if (flags.giveBack === true) return giveHostBack(context, flags);
  const nodeFlag = flags.hostnameOverride ?? flags.host;
  const { source, client } = await openCluster({ flags, configuration, nodeFlag, logger });
  using _client = client;
  await lowerOomScore(logger, configuration);
  using _config =
    flags.config === undefined ? undefined : followConfiguration(flags.config, { configuration, source, logger });
  const program = configuration?.program;
  return await keepHost({
    ...{ source, logger, told, flags, plan: planner(logger), refresh: () => source.refresh() },
    healthAddress: addressOf(flags.healthzBindAddress ?? program?.healthzBindAddress ?? everyAddress(10256)),
    metricsAddress: addressOf(flags.metricsBindAddress ?? program?.metricsBindAddress ?? "127.0.0.1:10249"),
    waitsForPorts: program?.bindAddressHardFail !== true,
    minSyncMs: () => 1_000 * (program?.minSyncSeconds ?? 0),
    onServing: async () => tellAll(logger, (await prepareKernel(logger, configuration)).problems),
  });
}

/** @throws EnvironmentError ALREADY_RUNNING where an agent still keeps this host */
async function giveHostBack(context: CommandContext, { replace }: RunFlags): Promise<ExitCode> {
  if (replace !== undefined) {
    throw inputError(
      "CONFLICTING_FLAGS",
      "--replace takes a host from kube-proxy, and --give-back returns it: say one",
    );
  }
  await using _lock = await lockHost(await makeRuntimeDirectory());
  const removed = await giveBack({
    machine: thisMachine,
    dataPaths: [await openTables(context, {}), await openRules(context, {})],
    logger: await context.logger(),
    signal: context.signal,
  });
  const what = removed.length === 0 ? "nothing here is ours" : `removed ${removed.join(", ")}`;
  await context.print(`given back to kube-proxy: ${what}\n`);
  return 0;
}

function readConfiguration(path: string): ParsedProxyConfiguration {
  return parseProxyConfiguration(readConfigurationFile(path), { followsCluster: true });
}

/** IPv6 with IPv4, where this machine has it. */
function everyAddress(port: number): string {
  const hasIpv6 = machineAddresses().some((address) => address.includes(":"));
  return hasIpv6 ? `[::]:${port}` : `0.0.0.0:${port}`;
}

/** What takes more rights than a container of the agent has: to be run before it, by root. */
async function initializeHost(
  context: CommandContext,
  configuration: ParsedProxyConfiguration | undefined,
): Promise<ExitCode> {
  const { set, problems } = await prepareKernel(await context.logger(), configuration);
  for (const problem of problems) context.note(formatProblem(problem));
  await context.print(set.length === 0 ? "nothing had to be set\n" : set.map((what) => `${what}\n`).join(""));
  // A node that serves with the limits that it has is better than one that serves nothing.
  return 0;
}

/** Sysctls that kube-proxy sets on a node. Loopback is opened only where rules, ours or the kubelet's, keep neighbours out of it. */
async function prepareKernel(
  logger: Logger,
  configuration: ParsedProxyConfiguration | undefined,
): Promise<{ readonly set: readonly string[]; readonly problems: readonly Problem[] }> {
  const limits = await raiseConntrackLimits(thisMachine, configuration?.program.conntrack ?? { tcpBeLiberal: false });
  const set = [...limits.set];
  const { localhostNodePorts } = { ...settingsOf(configuration), ...configuration?.settings };
  if (localhostNodePorts === true && (await thisMachine.readSysctl(ROUTE_LOCALNET)) === "0") {
    if (await thisMachine.writeSysctl(ROUTE_LOCALNET, "1")) set.push(`${ROUTE_LOCALNET}=1`);
  }
  if (set.length > 0) logger.info({ set }, `set ${set.join(", ")}`);
  return { set, problems: limits.problems };
}

function settingsOf(configuration: ParsedProxyConfiguration | undefined) {
  return configuration === undefined ? {} : kubeProxyDefaults(configuration.mode);
}

async function lowerOomScore(logger: Logger, configuration: ParsedProxyConfiguration | undefined): Promise<void> {
  const score = configuration?.program.oomScoreAdj ?? OOM_SCORE;
  if (await setOomScore(score)) return;
  logger.info({ score }, "oom_score_adj stays as it is: to lower it takes CAP_SYS_RESOURCE");
}

/** A changed file counts from then on, but for what is read at the start; one that cannot be read does not. */
function followConfiguration(
  path: string,
  {
    configuration,
    source,
    logger,
  }: {
    readonly configuration: ParsedProxyConfiguration | undefined;
    readonly source: KubernetesSource;
    readonly logger: Logger;
  },
): Disposable {
  return watchFile(path, () => {
    try {
      const read = readConfiguration(path);
      const later = configuration === undefined ? [] : changedProgramFields(configuration.program, read.program);
      source.configure(read, later.length === 0 ? [] : [postponed(path, later)]);
      logger.info({ path }, "the configuration was read again");
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      source.refuseConfiguration(path, error);
    }
  });
}

function postponed(path: string, fields: readonly string[]): Problem {
  return {
    code: "NO_EFFECT",
    severity: "warning",
    subject: path,
    text: `What ${path} says now of ${fields.join(", ")} counts at the next start`,
  };
}

/** The only host that the source tells of. Addresses that are not here are no reason not to serve: they may be translated on the way. */
function planner(logger: Logger) {
  let said = "";
  return (topology: Topology, previous: HostPlan | undefined): HostPlan => {
    const [host] = topology.hosts;
    if (host === undefined) throw new TypeError("the source told of no host");
    const here = machineAddresses();
    const addresses = host.addresses.join(", ");
    if (said !== addresses && !host.addresses.some((address) => here.includes(address))) {
      said = addresses;
      logger.warn({ code: "FOREIGN_HOST" }, `node ${host.name} has ${addresses}, and none of that is on this machine`);
    }
    return planHost(topology, {
      ...{ host: host.name, machineAddresses: here },
      ...(previous === undefined ? {} : { previous }),
    });
  };
}

function tellAll(logger: Logger, problems: readonly Problem[]): void {
  for (const problem of problems) logger.warn({ code: problem.code }, problemSentence(problem));
}
