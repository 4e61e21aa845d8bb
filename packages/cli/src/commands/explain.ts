import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";

/** `svcproxy explain CODE`: what a code means. */
export function addExplain(program: Command, run: RunCommand): void {
  addHelp(
    program.command("explain").argument("[code]", "as it stands in brackets behind a problem; none: all of them"),
    {
      takesNoMore: "One code at a time, or all of them: svcproxy explain",
      about: "tell what the code of a problem means, what it rests on, and what to do",
      examples: ["svcproxy explain ROUTE_MISSING", "svcproxy explain --json"],
    },
  )
    .option("--json", "print JSON")
    .action((code: string | undefined, flags: { readonly json?: true }) =>
      run(async (context) => {
        const { explainCode } = await import("../doctor/explain-code.ts");
        return explainCode(context, code, flags);
      }),
    );
}
