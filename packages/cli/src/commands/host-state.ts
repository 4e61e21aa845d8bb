import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { addHelp } from "../command-help.ts";

/** `svcproxy host-state`: what a packet's way through this machine depends on besides rules. */
export function addHostState(program: Command, run: RunCommand): void {
  addHelp(program.command("host-state"), {
    about: "print this host's addresses, routes and sysctls as JSON, for trace and prove --host-state",
    examples: [
      "sudo svcproxy host-state > state.json",
      "sudo iptables-save > rules.txt",
      "svcproxy trace --rules rules.txt --host-state state.json \\\n  --from 10.5.75.2 --to 10.100.100.1:7070",
    ],
  })
    .option("--json", "print JSON, which it does anyway")
    .action(() =>
      run(async (context) => {
        const { readLiveHostState } = await import("../live-host-state.ts");
        await context.print(await readLiveHostState(context.signal));
        return 0;
      }),
    );
}
