import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";

/** `svcproxy findings`: what the agent starts to look at its host, in a process of its own. */
export function addFindings(program: Command, run: RunCommand): void {
  program.command("findings", { hidden: true }).action(() =>
    run(async (context) => {
      const { printFindings } = await import("../doctor/run-findings.ts");
      return printFindings(context);
    }),
  );
}
