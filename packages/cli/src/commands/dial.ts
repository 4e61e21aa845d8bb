import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";

/** `svcproxy dial`: what the doctor starts in a pod's network namespace. */
export function addDial(program: Command, run: RunCommand): void {
  program.command("dial", { hidden: true }).action(() =>
    run(async (context) => {
      const { printDials } = await import("../doctor/run-dial.ts");
      return printDials(context);
    }),
  );
}
