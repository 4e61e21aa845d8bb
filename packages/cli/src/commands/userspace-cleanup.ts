import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptInstance, type InstanceFlags } from "../userspace-flags.ts";

/** `svcproxy userspace cleanup`: takes away what a killed proxy left. */
export function addUserspaceCleanup(userspace: Command, run: RunCommand): void {
  acceptInstance(userspace.command("cleanup"))
    .description("take away the VIPs, routes and the device that a killed proxy left on this host")
    .addHelpText("after", "\nExample:\n  sudo svcproxy userspace cleanup")
    .action((flags: InstanceFlags) =>
      run(async (context) => {
        const { cleanUpAfterKill } = await import("@svcproxy/userspace");
        const left = await cleanUpAfterKill(
          flags.runtimeDir === undefined ? {} : { runtimeDirectory: flags.runtimeDir },
        );
        for (const sentence of left) context.note(`svcproxy: ${sentence}`);
        return left.length === 0 ? 0 : 1;
      }),
    );
}
