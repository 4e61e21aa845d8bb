import { inputError } from "@svcproxy/topology";
import { type Command, InvalidArgumentError, Option } from "commander";
import type { RunFlags } from "../agent/run-agent.ts";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTakenPorts, FOREIGN_HOST } from "../flags/iptables-flags.ts";
import { acceptTopology, etcdUrlOf, isCluster, sourcesOf } from "../source/topology-input.ts";

/** `svcproxy run`: keeps this host true to a topology. */
export function addRun(program: Command, run: RunCommand): void {
  const command = addHelp(acceptTopology(program.command("run")), {
    about: "keep this host true to a topology, or to a cluster: follow it, and undo what others do to our rules",
    notes: [
      "Until the topology can be read whole nothing is touched. What is wrong with it later is told, and what was in force stays. SIGTERM and SIGINT end it; the rules stay, and serve on. SIGHUP reads the topology again; with the userspace data path a successor takes over.",
      "etcd://HOST:PORT/PREFIX in place of files follows entries in etcd. Endpoints that vanish there without a word, more than half and at least --guard, are kept until they return, or until svcproxy confirm.",
      "`kubernetes` in place of files follows a cluster through its API server, as kube-proxy does on each node. What the API server says has gone goes at once, however much it is; --guard is for whole lists that lack it: at the start, and when there was nothing to follow meanwhile.",
    ],
    examples: [
      "sudo svcproxy run web.yaml --host web1",
      "sudo svcproxy run objects/ --data-path iptables",
      "sudo svcproxy run etcd://10.0.0.1:2379,10.0.0.2:2379/svcproxy",
      "sudo svcproxy run kubernetes --kubeconfig /etc/kubernetes/kube-proxy.conf",
      "sudo svcproxy run kubernetes --kubeconfig kube.conf --replace kube-proxy",
    ],
  })
    .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
    .option("--foreign-host", FOREIGN_HOST);
  acceptTakenPorts(command)
    .addOption(
      new Option("--data-path <path>", "how services are served; auto: the best that this host can do")
        .choices(["auto", "nftables", "iptables", "userspace"])
        .default("auto"),
    )
    .option(
      "--guard <n>",
      "hold back a change that takes away more than half, and at least n, of all VIPs, of those with endpoints, or of all endpoints, until svcproxy confirm; 0: none",
      parseCount,
      10,
    )
    .option(
      "--healthz-bind-address <address>",
      "where /healthz and /livez answer, or none (default: port 10256, of 127.0.0.1; of every address with kubernetes)",
    )
    .option(
      "--metrics-bind-address <address>",
      "where /metrics and /statusz answer, or none (default: 127.0.0.1:10249)",
    )
    .option("--service-series <n>", "service ports with metrics of their own, at most; 0: none", parseCount, 500)
    .option("--traffic-counters", "with nftables: count packets and bytes of each service")
    .option("--socket-group <group>", "who may ask and confirm on the socket besides root")
    .option("--cleanup-on-exit", "take away what is ours at the end")
    .option(
      "--take-over",
      "take the place of the svcproxy run that runs here, once all is served: no connection is refused or lost",
    )
    .option("--hostname-override <name>", "kubernetes: this node's name (default: the host's, in lower case)")
    .addOption(
      new Option(
        "--replace <what>",
        "take the place of a kube-proxy that serves here: beside it first, alone once it has been gone for 10 s",
      ).choices(["kube-proxy"]),
    )
    .option("--give-back", "kubernetes: wait until kube-proxy serves what is ours here, then take ours away, and end")
    .option("--init-only", "kubernetes: set the sysctls that take root, and end")
    .action((files: string[], flags: RunFlags) =>
      run(async (context) => {
        if (etcdUrlOf(files, flags) === undefined && isCluster(files, flags)) {
          const { runKubernetes } = await import("../agent/run-kubernetes.ts");
          return runKubernetes(context, flags);
        }
        refuseKubernetesFlags(flags);
        const { runAgent } = await import("../agent/run-agent.ts");
        return runAgent(context, { files: sourcesOf(context, files), flags });
      }),
    );
}

const KUBERNETES_FLAGS = ["hostnameOverride", "initOnly", "giveBack"] as const;

/** @throws InputError CONFLICTING_FLAGS */
function refuseKubernetesFlags(flags: RunFlags): void {
  const given = KUBERNETES_FLAGS.find((name) => flags[name] !== undefined);
  if (given === undefined) return;
  const flag = given.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  throw inputError("CONFLICTING_FLAGS", `--${flag} is about a cluster, and files are to be followed`, {
    hint: `svcproxy run kubernetes --${flag} …`,
  });
}

function parseCount(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError("Give a number, 0 or more.");
  return Number(text);
}
