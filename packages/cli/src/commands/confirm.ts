import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

/** `svcproxy confirm`: lets the agent carry out what it held back. */
export function addConfirm(program: Command, run: RunCommand): void {
  addHelp(program.command("confirm"), {
    takesNoMore: "It confirms all that the agent here holds back, which svcproxy status names: svcproxy confirm",
    about: "let the running agent carry out the change that it holds back",
    notes: ["See `svcproxy run --guard`. `svcproxy status` shows what is held back."],
    examples: ["sudo svcproxy confirm"],
  }).action(() =>
    run(async (context) => {
      const { confirmChange } = await import("../agent/show-status.ts");
      return confirmChange(context);
    }),
  );
}
