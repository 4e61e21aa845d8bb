import { inputError, isEtcdUrl } from "@svcproxy/topology";
import type { Command } from "commander";
import type { CommandContext } from "../command-line/command-context.ts";

/** The flags with which a command that reads a topology is told about it. */
export interface TopologyFlags {
  readonly config?: string;
  readonly allowExternalIps?: readonly string[];
  readonly etcdConfig?: string;
  readonly flannelPrefix?: string;
  readonly kubeconfig?: string;
  readonly context?: string;
}

export const ETCD_CONFIG = "certificates, user and password for etcd (default: /etc/svcproxy/etcd.yaml, where it is)";

/** Declares the TOPOLOGY argument and its flags; the action gets the files as its first argument (`string[]`, empty where none is given). */
export function acceptTopology(command: Command): Command {
  return command
    .argument(
      "[topology...]",
      "topology file, or Kubernetes objects: files, a directory, or - for stdin; or etcd://HOST:PORT/PREFIX; or kubernetes, a cluster by its API server",
    )
    .option("--config <file>", "settings of the data path from a KubeProxyConfiguration")
    .option(
      "--allow-external-ips <cidr>",
      "serve externalIPs of Kubernetes objects in this block (repeatable)",
      (cidr: string, before: readonly string[] = []) => [...before, cidr],
    )
    .option("--etcd-config <file>", ETCD_CONFIG)
    .option("--flannel-prefix <prefix>", "with etcd: take hosts from flannel's leases below this prefix too")
    .option("--kubeconfig <file>", "kubernetes: how the API server is reached (default: as the pod that this is)")
    .option("--context <name>", "kubernetes: the context of the kubeconfig (default: its current one)");
}

/** What the command line names, else this host's own topology, which stderr then says; nothing where there is none. */
export function sourcesOf(context: CommandContext, files: readonly string[]): readonly string[] {
  const { defaultSource } = context;
  if (files.length > 0 || defaultSource === undefined) return files;
  context.note(`svcproxy: no topology given, using ${defaultSource}`);
  return [defaultSource];
}

/**
 * Whether the command line names a cluster.
 *
 * @throws InputError where it names something besides, or flags for a cluster without it
 */
export function isCluster(
  args: readonly string[],
  { kubeconfig, context }: Pick<TopologyFlags, "kubeconfig" | "context">,
): boolean {
  const isNamed = args.includes(CLUSTER);
  if (!isNamed && (kubeconfig !== undefined || context !== undefined)) {
    const flag = kubeconfig === undefined ? "--context" : "--kubeconfig";
    throw inputError("CONFLICTING_FLAGS", `${flag} is about a cluster, and the topology is none`, {
      hint: `Name \`${CLUSTER}\` in place of files`,
    });
  }
  if (isNamed && args.length > 1) {
    throw inputError("CONFLICTING_FLAGS", "A cluster is a whole topology: it cannot be joined with files or etcd", {
      hint: `A file or directory of this name is ./${CLUSTER}`,
    });
  }
  return isNamed;
}

/** What stands for a cluster in place of files. */
const CLUSTER = "kubernetes";

/** Whether what the command line names is in the file system; `-` is taken for it. */
export function isPath(source: string): boolean {
  return source !== CLUSTER && !isEtcdUrl(source);
}

/** The URL of etcd, where that is what the command line names. @throws InputError where it names something besides, or flags for etcd without it */
export function etcdUrlOf(
  args: readonly string[],
  { etcdConfig, flannelPrefix }: Pick<TopologyFlags, "etcdConfig" | "flannelPrefix">,
): string | undefined {
  const url = args.find(isEtcdUrl);
  if (url === undefined && (etcdConfig !== undefined || flannelPrefix !== undefined)) {
    const flag = etcdConfig === undefined ? "--flannel-prefix" : "--etcd-config";
    throw inputError("CONFLICTING_FLAGS", `${flag} is about etcd, and the topology is none`, {
      hint: "Name etcd://HOST:PORT/PREFIX; etcd:// alone means the endpoints of the settings file",
    });
  }
  if (url !== undefined && args.length > 1) {
    throw inputError("CONFLICTING_FLAGS", "etcd is a whole topology: it cannot be joined with files or another etcd");
  }
  return url;
}

export function etcdFlagsOf(url: string | undefined, { etcdConfig, flannelPrefix }: TopologyFlags) {
  return {
    ...(url === undefined ? {} : { url }),
    ...(etcdConfig === undefined ? {} : { settingsFile: etcdConfig }),
    ...(flannelPrefix === undefined ? {} : { flannelPrefix }),
  };
}
