import type { Overlay } from "@svcproxy/lab";
import { type Command, Option } from "commander";
import type { CommandContext, RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { ownProgram } from "../command-line/this-program.ts";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";
import type { LabDataPath } from "./lab-data-path.ts";

interface LabUpFlags extends TopologyFlags {
  readonly overlay: Overlay;
  readonly dataPath: LabDataPath;
  readonly name: string;
  readonly detach?: true;
  readonly rpFilter: boolean;
  readonly variant?: string;
  readonly dialect?: string;
  readonly json?: true;
}

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
    .action((files: string[], flags: LabUpFlags) => run((context) => labUp(context, files, flags)));
}

async function labUp(context: CommandContext, files: readonly string[], flags: LabUpFlags): Promise<number> {
  const [{ claimLab, forgetLab, saveLab, startLab }, { applyDataPath }, { readLabTopology }, view] = await Promise.all([
    import("@svcproxy/lab"),
    import("./lab-data-path.ts"),
    import("./lab-topology.ts"),
    import("./lab-view.ts"),
  ]);
  const { signal } = context;
  const { topology, files: copies, topologyArgs } = await readLabTopology(context, files, flags);
  const { name, overlay, dataPath, rpFilter } = flags;
  claimLab(name);
  const detached = flags.detach === true;
  try {
    const started = await startLab(topology, {
      name,
      overlay,
      rpFilter,
      detached,
      files: copies,
      insideProgram: [...ownProgram(), "lab", "supervise"],
    });
    try {
      for (const warning of started.warnings) context.note(`svcproxy: ${warning}`);
      await applyDataPath(started.lab, topology, {
        dataPath,
        topologyArgs,
        variant: flags.variant,
        dialect: flags.dialect,
      });
      saveLab({ ...started.lab.process, startedAt: new Date().toISOString(), dataPath });
      await view.announce(context, { topology, started, flags });
      if (detached) return 0;
      await view.watch(context, { started, signal });
      if (!signal.aborted) context.note(`svcproxy: lab ${name} has ended`);
    } catch (error) {
      await started.lab.down();
      throw error;
    }
    await started[Symbol.asyncDispose]();
    forgetLab(name);
    return 0;
  } catch (error) {
    forgetLab(name);
    throw error;
  }
}
