import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

interface StatusFlags {
  readonly name?: string;
  readonly json?: true;
}

/** `svcproxy lab status`. */
export function addLabStatus(lab: Command, run: RunCommand): void {
  lab
    .command("status")
    .description("list the hosts, pods, routes and listeners of a lab")
    .option("--name <lab>", "which lab, where several are up")
    .option("--json", "print JSON")
    .action((flags: StatusFlags) =>
      run(async (context) => {
        const [{ findLab, Lab, readLabStatus }, { renderLabStatus }] = await Promise.all([
          import("@svcproxy/lab"),
          import("./lab-tables.ts"),
        ]);
        const state = findLab(flags.name);
        const places = await readLabStatus(new Lab(state));
        const { name, pid, startedAt, overlay, dataPath } = state;
        const report = { name, pid, startedAt, overlay, dataPath, places };
        await context.print(flags.json === true ? `${JSON.stringify(report, null, 2)}\n` : renderLabStatus(report));
        return 0;
      }),
    );
}
