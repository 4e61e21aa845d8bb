import type { Command } from "commander";
import type { StatusFlags } from "../agent/show-status.ts";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

/** `svcproxy status`: how the agent of this host stands. */
export function addStatus(program: Command, run: RunCommand): void {
  addHelp(program.command("status"), {
    takesNoMore: "It asks the agent that runs here. One of its services: svcproxy status --service NAME",
    about: "show how the running agent (svcproxy run) stands, and what is not well",
    examples: [
      "svcproxy status",
      "svcproxy status --service shop/web",
      "svcproxy status --watch",
      "svcproxy status --json | jq .state",
    ],
  })
    .option(
      "--service <name>",
      "this service, as NAME or NAMESPACE/NAME: where it leads, since when, what was wrong last",
    )
    .option("--watch", "show it again whenever it is otherwise, until it is interrupted")
    .option("--json", "print JSON")
    .action((flags: StatusFlags) =>
      run(async (context) => {
        const { showStatus } = await import("../agent/show-status.ts");
        return showStatus(context, flags);
      }),
    );
}
