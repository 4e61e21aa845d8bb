import {
  type Cidr,
  exampleTopology,
  type Fault,
  formatFault,
  type HostPlan,
  type InputError,
  type InputFile,
  inputError,
  type KubernetesOptions,
  loadInput,
  type ParsedProxyConfiguration,
  type ParsedTopology,
  type ProxyMode,
  parseCidr,
  parseIpAddress,
  parseProxyConfiguration,
  planHost,
  readCluster,
  readInput,
  type Topology,
} from "@svcproxy/topology";
import type { CommandContext } from "../command-line/command-context.ts";
import { machineAddresses } from "./machine-addresses.ts";
import { readInputFiles, readPath } from "./read-files.ts";
import { etcdFlagsOf, etcdUrlOf, isCluster, sourcesOf, type TopologyFlags } from "./topology-input.ts";

export { planHost, topologySchema } from "@svcproxy/topology";

export interface ReadTopologyOptions extends TopologyFlags {
  /** Set by commands that change or judge this host: they take no example for it. */
  readonly required?: boolean;
  /** Set by a lab, which is not about this host: without a topology it takes the example. */
  readonly isLab?: boolean;
}

/**
 * Reads the topology that a command line names: a topology file or Kubernetes objects; without one, this host's
 * /etc/svcproxy/topology.yaml, else the built-in example, which stderr then says. Settings of `--config` go over those of the file. Warnings have been printed when it returns.
 *
 * @param args files, directories, or `-` for stdin
 * @throws InputError with every fault of the input; TOPOLOGY_REQUIRED where there is none and the command needs one
 */
export async function readTopology(
  context: CommandContext,
  args: readonly string[],
  options: ReadTopologyOptions = {},
): Promise<ParsedTopology> {
  const sources = options.isLab === true ? args : sourcesOf(context, args);
  const { topology, warnings } = await parseArguments(context, sources, options);
  noteWarnings(context, warnings);
  return { topology, warnings };
}

/** So many of a kind are told one by one; `check --json` has them all. */
const TOLD_ALIKE = 20;

function noteWarnings(context: CommandContext, warnings: readonly Fault[]): void {
  const told = new Map<string, number>();
  for (const warning of warnings) {
    const count = (told.get(warning.code) ?? 0) + 1;
    told.set(warning.code, count);
    if (count <= TOLD_ALIKE) context.note(formatFault(warning));
  }
  for (const [code, count] of told) {
    if (count > TOLD_ALIKE) {
      context.note(
        `svcproxy: ${count - TOLD_ALIKE} more warnings like that [${code}]; svcproxy check --json has them all`,
      );
    }
  }
}

/** The same topology as kube-proxy sees it in two of its modes, `--config` read for each. Warnings have been printed when it returns. */
export async function readTopologyForModes(
  context: CommandContext,
  args: readonly string[],
  { allowExternalIps = [], config, ...flags }: TopologyFlags,
): Promise<Readonly<Record<"iptables" | "nftables", Topology>> & Pick<ParsedProxyConfiguration, "gates">> {
  const sources = sourcesOf(context, args);
  if (sources.length === 0) throw topologyRequired();
  const configurationFor = (mode: "iptables" | "nftables") =>
    config === undefined
      ? parseProxyConfiguration(NO_CONFIGURATION, { asIfMode: mode })
      : readConfiguration(config, { asIfMode: mode, readsCluster: isCluster(sources, flags) });
  const readWith = await readerOf(context, sources, { ...flags, configuration: configurationFor("nftables") });
  const read = (mode: "iptables" | "nftables") =>
    readWith({
      configuration: configurationFor(mode),
      allowExternalIPs: [...allowExternalIps, ...EVERY_ADDRESS].map(readAllowedBlock),
    });
  const { topology, warnings } = read("nftables");
  noteWarnings(context, warnings);
  const { gates } = configurationFor("nftables");
  return { iptables: read("iptables").topology, nftables: topology, gates };
}

/** Reads what is named once, to be understood by several settings. */
async function readerOf(
  context: CommandContext,
  sources: readonly string[],
  { configuration, ...flags }: TopologyFlags & { readonly configuration: ParsedProxyConfiguration },
): Promise<(options: KubernetesOptions) => ParsedTopology> {
  if (isCluster(sources, flags)) {
    const { readClusterObjects } = await import("./read-cluster-objects.ts");
    const objects = await readClusterObjects(context, flags, configuration);
    return (options) => readCluster(objects, options);
  }
  const loaded = loadInput(await readInputFiles(context, sources));
  return (options) => readInput(loaded, options);
}

/** One that leaves everything to kube-proxy's defaults. */
const NO_CONFIGURATION: InputFile = {
  file: "kube-proxy's defaults",
  bytes: Buffer.from("apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n"),
};

/** For `--allow-external-ips`. */
export const EVERY_ADDRESS: readonly string[] = ["0.0.0.0/0", "::/0"];

async function parseArguments(
  context: CommandContext,
  args: readonly string[],
  { required = false, allowExternalIps = [], config, ...flags }: ReadTopologyOptions,
): Promise<ParsedTopology> {
  const etcd = etcdUrlOf(args, flags);
  const readsCluster = etcd === undefined && isCluster(args, flags);
  const options = config === undefined ? {} : { configuration: readConfiguration(config, { readsCluster }) };
  if (etcd !== undefined) {
    const { readEtcdSettings, readEtcdTopology } = await import("@svcproxy/agent");
    return readEtcdTopology(readEtcdSettings(etcdFlagsOf(etcd, flags)), { signal: context.signal, ...options });
  }
  if (readsCluster) {
    const { readClusterObjects } = await import("./read-cluster-objects.ts");
    const objects = await readClusterObjects(context, flags, options.configuration);
    return readCluster(objects, { ...options, allowExternalIPs: allowExternalIps.map(readAllowedBlock) });
  }
  if (args.length === 0) {
    if (required) throw topologyRequired();
    context.note("svcproxy: no topology given, using the built-in example (hosts cloudos1 and cloudos2)");
    return exampleTopology(options);
  }
  const allowExternalIPs = allowExternalIps.map(readAllowedBlock);
  const { passedOver, ...parsed } = readInput(loadInput(await readInputFiles(context, args)), {
    ...options,
    allowExternalIPs,
  });
  if (passedOver.size > 0) {
    const logger = await context.logger();
    logger.info({ passedOver: Object.fromEntries(passedOver) }, "objects of other kinds were passed over");
  }
  return parsed;
}

export function topologyRequired(): InputError {
  return inputError("TOPOLOGY_REQUIRED", "This command needs a topology: it takes no example for one", {
    hint: "Name a file, or - for stdin; `svcproxy schema` prints the format",
  });
}

export function readAllowedBlock(text: string): Cidr {
  const cidr = parseCidr(text);
  if (cidr !== undefined) return cidr;
  throw inputError("BAD_CIDR", `--allow-external-ips: ${JSON.stringify(text)} is not a block of addresses`, {
    hint: "Write a block like 203.0.113.0/24",
  });
}

/** @see parseProxyConfiguration */
export function readConfiguration(
  path: string,
  options: { readonly asIfMode?: ProxyMode; readonly readsCluster?: boolean } = {},
): ParsedProxyConfiguration {
  return parseProxyConfiguration(readConfigurationFile(path), options);
}

/** The one file that `--config` names. @throws InputError SEVERAL_CONFIGURATIONS, and what a file that cannot be read has */
export function readConfigurationFile(path: string): InputFile {
  const [input, another] = readPath(path);
  if (input === undefined || another !== undefined) {
    throw inputError("SEVERAL_CONFIGURATIONS", `--config takes one file, and ${JSON.stringify(path)} holds more`);
  }
  return input;
}

/** The machine for which a host is looked for, where it is not this one. */
export interface HostPlace {
  readonly localAddresses?: readonly string[];
  readonly called?: string;
  /** Decides where several hosts own one of its addresses. */
  readonly hostname?: string;
}

/**
 * The host to plan for: the one that `--host` names, or the only one that owns an address of this machine.
 *
 * @throws InputError UNKNOWN_HOST or HOST_REQUIRED
 */
export function resolveHost(
  topology: Topology,
  flag: string | undefined,
  { localAddresses, called = "this machine", hostname }: HostPlace = {},
): string {
  const hint = knownHosts(topology);
  if (flag !== undefined) {
    if (topology.hosts.some(({ name }) => name === flag)) return flag;
    const what = topology.source === "kubernetes" ? "The objects have no Node" : "The topology lists no host";
    throw inputError("UNKNOWN_HOST", `${what} ${JSON.stringify(flag)}`, { hint });
  }
  const hosts = hostsAt(topology, localAddresses ?? machineAddresses());
  const [host, another] = hosts;
  if (host !== undefined && another === undefined) return host;
  if (hostname !== undefined && hosts.includes(hostname)) return hostname;
  const reason =
    host === undefined
      ? `no host of the topology owns an address of ${called}`
      : `several hosts of the topology own an address of ${called}`;
  throw inputError("HOST_REQUIRED", `Name the host with --host: ${reason}`, { hint });
}

/** Which host this machine is taken for. */
export interface OwnHostFlags {
  readonly host?: string | undefined;
  readonly foreignHost?: boolean;
}

/**
 * The host that this machine is, for commands that change it: what belongs to another host would send connections astray here.
 *
 * @throws InputError UNKNOWN_HOST, HOST_REQUIRED, or FOREIGN_HOST where none of the named host's addresses is this machine's
 */
export function resolveOwnHost(
  topology: Topology,
  { host: flag, foreignHost = false }: OwnHostFlags,
  localAddresses: readonly string[] = machineAddresses(),
): string {
  const name = resolveHost(topology, flag, { localAddresses });
  const own = hostsAt(topology, localAddresses);
  if (foreignHost || own.includes(name)) return name;
  const addresses = topology.hosts.find((host) => host.name === name)?.addresses ?? [];
  const others = own.length === 0 ? "" : `, which is host ${own.map((other) => JSON.stringify(other)).join(", ")}`;
  throw inputError(
    "FOREIGN_HOST",
    `Host ${JSON.stringify(name)} is not this machine${others}: none of its addresses is here (${addresses.join(", ")})`,
    {
      hint: "Name the host that this machine is, or pass --foreign-host where its addresses are translated on the way",
    },
  );
}

function knownHosts({ hosts, source }: Topology): string {
  if (hosts.length > 0) return `Hosts of the topology: ${hosts.map(({ name }) => JSON.stringify(name)).join(", ")}`;
  return source === "kubernetes"
    ? "Give the Nodes too: kubectl get services,endpointslices,nodes -A -o yaml"
    : "The topology lists no host";
}

/** The host that this machine is, where it is clearly one. */
export function findOwnHost(topology: Topology): string | undefined {
  const [host, another] = hostsAt(topology, machineAddresses());
  return another === undefined ? host : undefined;
}

function hostsAt(topology: Topology, addresses: readonly string[]): readonly string[] {
  const local = new Set(addresses.map(parseIpAddress));
  return topology.hosts.filter((host) => host.addresses.some((address) => local.has(address))).map(({ name }) => name);
}

/** The plan for this host, from the topology that the command line names. */
export async function readHostPlan(
  context: CommandContext,
  files: readonly string[],
  flags: TopologyFlags & OwnHostFlags,
): Promise<{ readonly plan: HostPlan; readonly topology: Topology }> {
  const { topology } = await readTopology(context, files, { ...flags, required: true });
  const host = resolveOwnHost(topology, flags);
  return { plan: planHost(topology, { host, machineAddresses: machineAddresses() }), topology };
}
