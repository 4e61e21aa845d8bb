import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

/** What a lab runs inside of itself, where all of svcproxy is one file. Not for people. */
export function addLabInside(lab: Command, run: RunCommand): void {
  lab
    .command("inside", { hidden: true })
    .argument("<role...>")
    .action((role: string[]) =>
      run(async () => {
        const { runInside } = await import("@svcproxy/lab");
        await runInside(role);
        return 0;
      }),
    );
}
