import type { Dialect, DispatchMode } from "@svcproxy/iptables";
import type { Family } from "@svcproxy/topology";
import { type Command, Option } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTopology, type TopologyFlags } from "../source/topology-input.ts";
import { addIptablesApply } from "./iptables-apply.ts";
import { addIptablesCleanup } from "./iptables-cleanup.ts";
import { addIptablesDiff } from "./iptables-diff.ts";

interface IptablesFlags extends TopologyFlags {
  readonly host?: string;
  readonly dialect?: Dialect;
  readonly dispatch: DispatchMode;
  readonly family?: FamilyFlag;
  readonly format: "commands" | "restore" | "json";
}

type FamilyFlag = "4" | "6" | "all";

/** `svcproxy iptables [TOPOLOGY]`: prints rules; its sub-commands change this host, or compare it. */
export function addIptables(program: Command, run: RunCommand): void {
  const iptables = addHelp(acceptTopology(program.command("iptables")), {
    about: "print the iptables rules of a host",
    examples: [
      "svcproxy iptables web.yaml --host web1 | sudo sh -e",
      "svcproxy iptables web.yaml --host web1 --format restore --family 4 |\n  sudo iptables-restore --noflush",
    ],
  })
    // What stands behind the name of a subcommand is that subcommand's.
    .enablePositionalOptions()
    .option("--host <name>", "the host that the rules are for")
    .addOption(
      new Option("--dialect <dialect>", "whose rules: the founding document's, or Kubernetes' own").choices([
        "document",
        "kubernetes",
      ]),
    )
    .addOption(
      new Option("--format <format>", "a shell script, input for iptables-restore --noflush, or the rule set as JSON")
        .choices(["commands", "restore", "json"])
        .default("commands"),
    )
    .addOption(
      new Option("--family <family>", "IPv4, IPv6 or both (default: those that have services)").choices([
        "4",
        "6",
        "all",
      ]),
    )
    .addOption(
      new Option("--dispatch <mode>", "how a connection finds its service: rule by rule, down a tree, or by size")
        .choices(["auto", "linear", "tree"])
        .default("auto"),
    );
  iptables.action((files: string[], flags: IptablesFlags) =>
    run(async (context) => {
      const [{ planHost, readTopology, resolveHost }, { chooseDialect, printRules, sysctlNeed }] = await Promise.all([
        import("../source/read-topology.ts"),
        import("../data-path/print-rules.ts"),
      ]);
      const { topology } = await readTopology(context, files, flags);
      const plan = planHost(topology, { host: resolveHost(topology, flags.host) });
      const pieces = printRules(plan, {
        dialect: chooseDialect(topology, flags.dialect),
        format: flags.format,
        dispatch: flags.dispatch,
        families: familiesOf(flags.family),
      });
      for (const piece of pieces) await context.print(piece);
      const need = flags.format === "restore" ? sysctlNeed(plan) : undefined;
      if (need !== undefined) context.note(`svcproxy: ${need}`);
      return 0;
    }),
  );
  addIptablesApply(iptables, run);
  addIptablesDiff(iptables, run);
  addIptablesCleanup(iptables, run);
}

function familiesOf(flag: FamilyFlag | undefined): readonly Family[] | undefined {
  if (flag === undefined) return undefined;
  return flag === "all" ? [4, 6] : [flag === "4" ? 4 : 6];
}
