import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { acceptUserspaceFlags, type UserspaceFlags } from "../userspace-flags.ts";

/** `svcproxy userspace TOPOLOGY`: runs the proxy. Returns the command, under which `status` and `cleanup` are registered. */
export function registerUserspace(program: Command, run: RunCommand): Command {
  const userspace = acceptUserspaceFlags(program.command("userspace"))
    .description("run the proxy for hosts without netfilter")
    // What stands behind the name of a subcommand is that subcommand's.
    .enablePositionalOptions()
    .addHelpText(
      "after",
      `
Times are 500ms, 30s, 15m or 1h; a bare number is seconds. SIGHUP reads the topology again; SIGTERM and SIGINT drain
and end, a second one hurries.

Examples:
  sudo svcproxy userspace web.yaml --host web1 --watch --metrics 127.0.0.1:9464
  svcproxy userspace web.yaml --host web1 --take-over
  svcproxy userspace web.yaml --host web1 --watch --print-unit`,
    );
  userspace.action((files: string[], flags: UserspaceFlags) =>
    run(async (context) => {
      if (flags.printUnit === true) {
        const { printUnit } = await import("../print-unit.ts");
        await context.print(printUnit({ files, flags, argv: program.args }));
        return 0;
      }
      const { runUserspace } = await import("../run-userspace.ts");
      return runUserspace(context, { files, flags });
    }),
  );
  return userspace;
}
