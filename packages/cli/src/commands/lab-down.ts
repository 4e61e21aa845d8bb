import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

interface DownFlags {
  readonly name?: string;
  readonly all?: true;
}

/** `svcproxy lab down`. */
export function addLabDown(lab: Command, run: RunCommand): void {
  lab
    .command("down")
    .description("end a lab and everything that runs in it")
    .option("--name <lab>", "which lab, where several are up")
    .option("--all", "all labs of this user")
    .action((flags: DownFlags) =>
      run(async (context) => {
        const { findLab, forgetLab, Lab, listLabs } = await import("@svcproxy/lab");
        const labs = flags.all === true ? listLabs() : [findLab(flags.name)];
        for (const found of labs) {
          await new Lab(found).down();
          forgetLab(found.name, found.pid);
          context.note(`svcproxy: lab ${found.name} is down`);
        }
        return 0;
      }),
    );
}
