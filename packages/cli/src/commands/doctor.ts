import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { DoctorFlags } from "../doctor/run-doctor.ts";
import { FOREIGN_HOST } from "../flags/iptables-flags.ts";
import { acceptTopology } from "../source/topology-input.ts";

/** `svcproxy doctor`: why services are not reached, with evidence and remedy. */
export function addDoctor(program: Command, run: RunCommand): void {
  addHelp(acceptTopology(program.command("doctor")), {
    about: "find out why a service is not reached: causes with evidence and remedy",
    notes: [
      "It works with whatever serves here: svcproxy on any data path, or kube-proxy. It changes nothing; what it sends are a connection to each endpoint and a few pings, and --no-probe sends nothing.",
      "Exit code 3: causes were found; 4: something could not be decided.",
    ],
    examples: [
      "sudo svcproxy doctor cloud.yaml --service web",
      "kubectl get svc,endpointslices,nodes,pods -A -o yaml \\\n  | sudo svcproxy doctor - --host node1",
      "sudo svcproxy doctor kubernetes --kubeconfig kube.conf --host node1",
      "sudo svcproxy doctor cloud.yaml --peer web2.json",
      "kubectl get svc,endpointslices,nodes,pods -A -o yaml \\\n  | kubectl debug node/node1 -i --profile=sysadmin --image=IMAGE -- \\\n    svcproxy doctor - --host node1",
      "svcproxy doctor cloud.yaml --snapshot web1.json --snapshot web2.json",
    ],
  })
    .option("--host <name>", "this host's name in the topology (default: the one that owns an address of it)")
    .option("--service <name>", "look at this service alone, NAME or NAMESPACE/NAME")
    .option("--to <ip:port>", "look at the service that is dialled there")
    .option("--peer <file>", "another host's snapshot, to follow packets there (repeatable)", collect)
    .option("--snapshot <file>", "a snapshot in place of this host; of several, the first is asked about", collect)
    .option("--no-probe", "send nothing: what only a connection could tell is left open")
    .option("--as-pod", "dial services from within up to 4 pods of this host too (nsenter)")
    .option("--probe-udp", "send each UDP endpoint a datagram of one byte")
    .option("--ignore <code>", "leave out causes of this code, or of one subject: CODE=SUBJECT (repeatable)", collect)
    .option("--remedies", "print what would mend it as a script to read")
    .option("--foreign-host", FOREIGN_HOST)
    .option("--json", "print JSON")
    .action((files: string[], flags: DoctorFlags) =>
      run(async (context) => {
        const { runDoctor } = await import("../doctor/run-doctor.ts");
        return runDoctor(context, files, flags);
      }),
    );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
