import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import type { LabUpFlags } from "../lab/run-lab.ts";
import { acceptTopology } from "../source/topology-input.ts";

/** `svcproxy lab up [TOPOLOGY]`. */
export function addLabUp(lab: Command, run: RunCommand): void {
  addHelp(acceptTopology(lab.command("up")), {
    about: "start a lab: every host and pod of a topology as a network namespace, with a server in each pod",
    examples: [
      "sudo svcproxy lab up",
      "sudo svcproxy lab up web.yaml --overlay host-gw --data-path userspace --detach",
    ],
  })
    .addOption(
      new Option("--overlay <kind>", "how pods reach each other").choices(["vxlan", "host-gw"]).default("vxlan"),
    )
    .addOption(
      new Option("--data-path <kind>", "what serves the VIPs on each host")
        .choices(["iptables", "userspace", "none"])
        .default("iptables"),
    )
    .addOption(new Option("--variant <variant>", "which iptables").choices(["nft", "legacy"]))
    .addOption(new Option("--dialect <dialect>", "whose rules").choices(["document", "kubernetes"]))
    .option("--no-rp-filter", "without strict reverse-path filtering")
    .option("--name <lab>", "what to call it", "default")
    .option("-d, --detach", "leave it in the background")
    .option("--json", "print what is where as JSON, once it is up")
    .action((files: string[], flags: LabUpFlags) =>
      run(async (context) => {
        const { runLab } = await import("../lab/run-lab.ts");
        return runLab(context, files, flags);
      }),
    );
}
