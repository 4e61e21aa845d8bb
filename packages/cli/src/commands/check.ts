import type { Command } from "commander";
import type { CheckFlags } from "../check/run-check.ts";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { acceptTopology } from "../source/topology-input.ts";

/** `svcproxy check TOPOLOGY`. */
export function addCheck(program: Command, run: RunCommand): void {
  addHelp(acceptTopology(program.command("check")), {
    about: "show what was understood of a topology, or everything that is wrong with it",
    examples: [
      "svcproxy check web.yaml",
      "svcproxy check web.yaml --host web1 --json",
      "svcproxy check objects/ --summary",
      "svcproxy check objects/ --namespace shop --unready",
      "svcproxy check kubernetes --kubeconfig ~/.kube/config",
    ],
  })
    .option("--host <name>", "whose part to show too (default: the host that this machine is)")
    .option("--summary", "how many there are of everything, and what is wrong, and no tables")
    .option("--all", "every row of every table, however long")
    .option("--service <name>", "only this service, as NAME or NAMESPACE/NAME (repeatable)", collect)
    .option("--namespace <name>", "only the services of this namespace (repeatable)", collect)
    .option("--unready", "only services with a port that has no ready endpoint")
    .option("--json", "print JSON")
    .action((files: string[], flags: CheckFlags) =>
      run(async (context) => {
        const { runCheck } = await import("../check/run-check.ts");
        return runCheck(context, files, flags);
      }),
    );
}

function collect(value: string, before: readonly string[] = []): readonly string[] {
  return [...before, value];
}
