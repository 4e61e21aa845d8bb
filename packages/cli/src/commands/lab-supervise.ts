import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

/** The first process of a lab, where all of svcproxy is one file. Not for people. */
export function addLabSupervise(lab: Command, run: RunCommand): void {
  lab.command("supervise", { hidden: true }).action(() =>
    run(async () => {
      const { supervise } = await import("@svcproxy/lab");
      await supervise();
      return 0;
    }),
  );
}
