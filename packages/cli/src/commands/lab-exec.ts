import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";
import { withoutSeparator } from "./lab-words.ts";

/** `svcproxy lab exec PLACE -- COMMAND`. */
export function addLabExec(lab: Command, run: RunCommand): void {
  lab
    .command("exec")
    .description("run a command in a host, a pod or the client (default: a shell)")
    .argument("<place>", "a host's or pod's name, client or gateway")
    .argument("[command...]", "the command and its arguments, after --")
    .option("--name <lab>", "which lab, where several are up")
    .passThroughOptions()
    .addHelpText(
      "after",
      "\nExamples:\n  svcproxy lab exec cloudos1 -- curl -s 10.100.100.1:7070\n  svcproxy lab exec os1_my1",
    )
    .action((place: string, command: string[], flags: { readonly name?: string }) =>
      run(async () => {
        const { execInPlace, findLab } = await import("@svcproxy/lab");
        const typed = withoutSeparator(command);
        const words = typed.length > 0 ? typed : [process.env["SHELL"] ?? "/bin/sh"];
        return execInPlace(findLab(flags.name), { place, command: words });
      }),
    );
}
