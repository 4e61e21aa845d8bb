import { EnvironmentError } from "@svcproxy/topology";
import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptInstance, type InstanceFlags } from "../userspace-flags.ts";

interface StatusFlags extends InstanceFlags {
  readonly json?: true;
}

/** `svcproxy userspace status`. */
export function addUserspaceStatus(userspace: Command, run: RunCommand): void {
  acceptInstance(userspace.command("status"))
    .description("show what the running proxy serves, and how it fares")
    .option("--json", "print JSON")
    .addHelpText("after", "\nExamples:\n  svcproxy userspace status\n  svcproxy userspace status --json | jq .ready")
    .action((flags: StatusFlags) =>
      run(async (context) => {
        const { isStatusDocument, queryInstance, renderStatus } = await import("@svcproxy/userspace");
        const status = await queryInstance(
          flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir },
        );
        if (flags.json === true) {
          await context.print(`${JSON.stringify(status, null, 2)}\n`);
          return 0;
        }
        if (!isStatusDocument(status)) {
          throw new EnvironmentError(
            "OTHER_VERSION",
            "Cannot show the status: the running proxy is of another version",
            {
              hint: "--json prints what it says",
            },
          );
        }
        await context.print(renderStatus(status, Date.now()));
        return 0;
      }),
    );
}
