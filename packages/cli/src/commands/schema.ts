import type { Command } from "commander";
import type { RunCommand } from "../command-line/command-context.ts";
import { addHelp } from "../command-line/command-help.ts";
import { renderJson } from "../command-line/render-json.ts";

/** `svcproxy schema`. */
export function addSchema(program: Command, run: RunCommand): void {
  addHelp(program.command("schema"), {
    takesNoMore:
      "There is one schema for every topology file: svcproxy schema. Whether a file keeps it: svcproxy check FILE",
    about: "print the JSON Schema of the topology file, for editors",
    examples: ["svcproxy schema > topology.schema.json"],
  }).action(() =>
    run(async (context) => {
      const { topologySchema } = await import("../source/read-topology.ts");
      await context.print(renderJson(topologySchema));
      return 0;
    }),
  );
}
