import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptEtcd, acceptNamespace, type EtcdCommandFlags } from "../flags/etcd-flags.ts";

/** `svcproxy etcd`: the topology that hosts follow in etcd. */
export function addEtcd(program: Command, run: RunCommand): void {
  const etcd = addHelp(program.command("etcd"), {
    about: "write, read and drain the topology that hosts follow in etcd",
    notes: [
      "Below the prefix (/svcproxy) there are hosts/NAME, services/NAMESPACE/NAME, settings (the node: block), and endpoints/NAMESPACE/SERVICE/ID, which svcproxy register writes. Each value is the entry of the topology file without its name, in YAML or JSON.",
    ],
    examples: [
      "svcproxy etcd put cloud.yaml --etcd etcd://10.0.0.1:2379/svcproxy --diff",
      "svcproxy etcd get --etcd etcd://10.0.0.1:2379/svcproxy > cloud.yaml",
    ],
  });
  addPut(etcd, run);
  addGet(etcd, run);
  addDrain(etcd, run);
}

function addPut(etcd: Command, run: RunCommand): void {
  const command = addHelp(etcd.command("put").argument("<file>", "topology file, or - for stdin"), {
    takesNoMore: "One file at a time: svcproxy etcd put FILE",
    about: "make etcd hold what a topology file says; who follows it sees all of it at once",
    notes: [
      "It shows what changes, and takes away what the file has not, but for what registered itself. Up to 128 keys and 1 MiB are one transaction; more is written beside first, and one key switches it on. Where somebody else writes at the same time, nothing is changed, and it ends with 1.",
    ],
    examples: ["svcproxy etcd put cloud.yaml", "svcproxy etcd put cloud.yaml --diff"],
  })
    .option("--diff", "only show what would change; 3 where anything would")
    .option("--yes", "although it removes more than 10 services")
    .option("--json", "print JSON");
  acceptNamespace(acceptEtcd(command), "of services that name none").action(
    (file: string, flags: EtcdCommandFlags & { namespace: string; diff?: true; yes?: true; json?: true }) =>
      run(async (context) => {
        const { putTopology } = await import("../etcd/run-etcd.ts");
        return putTopology(context, file, flags);
      }),
  );
}

function addGet(etcd: Command, run: RunCommand): void {
  const command = addHelp(etcd.command("get"), {
    takesNoMore:
      "It prints all that etcd holds below the prefix: svcproxy etcd get --etcd URL. Of one namespace: --namespace NAME",
    about: "print what etcd holds as a topology file",
    notes: ["What registered itself is not in it; svcproxy check shows it."],
    examples: ["svcproxy etcd get > cloud.yaml"],
  });
  acceptEtcd(command)
    .option("--namespace <name>", "services of this namespace alone")
    .option("--json", "print JSON")
    .action((flags: EtcdCommandFlags & { namespace?: string; json?: true }) =>
      run(async (context) => {
        const { getTopology } = await import("../etcd/run-etcd.ts");
        return getTopology(context, flags);
      }),
    );
}

function addDrain(etcd: Command, run: RunCommand): void {
  const about = {
    drain: "send no new connections to an endpoint; those that are go on",
    undrain: "use a drained endpoint again",
  };
  for (const name of ["drain", "undrain"] as const) {
    const argument = "SERVICE/ID: ID is what svcproxy register calls it, a pod's name, or ip:port";
    const command = addHelp(etcd.command(name).argument("<endpoint>", argument), {
      takesNoMore: `One endpoint at a time: svcproxy etcd ${name} SERVICE/ID`,
      about: about[name],
      notes:
        name === "drain"
          ? ["It stays drained when it registers anew. Where nobody else serves, it goes on serving."]
          : [],
      examples: [`svcproxy etcd ${name} web/10.5.75.2:3000`],
    });
    acceptNamespace(acceptEtcd(command)).action((endpoint: string, flags: EtcdCommandFlags & { namespace: string }) =>
      run(async (context) => {
        const { drainOrUndrain } = await import("../etcd/run-etcd.ts");
        return drainOrUndrain(context, endpoint, { ...flags, isDrained: name === "drain" });
      }),
    );
  }
}
