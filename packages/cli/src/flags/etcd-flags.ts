import { type Command, Option } from "commander";
import { ETCD_CONFIG } from "../source/topology-input.ts";

/** How a command that writes to etcd is told where that is. */
export interface EtcdCommandFlags {
  readonly etcd?: string;
  readonly etcdConfig?: string;
}

/** Flags of a command that is about etcd, and no other source. */
export function acceptEtcd(command: Command): Command {
  return command
    .addOption(new Option("--etcd <url>", "etcd://HOST:PORT[,…]/PREFIX (default: as /etc/svcproxy/etcd.yaml says)"))
    .option("--etcd-config <file>", ETCD_CONFIG);
}

/** Flags of a command that is about one service. */
export function acceptNamespace(command: Command, about = "the service's namespace"): Command {
  return command.option("--namespace <name>", about, "default");
}
