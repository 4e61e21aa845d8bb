import type { Command } from "commander";
import type { RunCommand } from "../command-context.ts";

/** `svcproxy schema`. */
export function addSchema(program: Command, run: RunCommand): void {
  program
    .command("schema")
    .description("print the JSON Schema of the topology file, for editors")
    .addHelpText("after", "\nExample:\n  svcproxy schema > topology.schema.json")
    .action(() =>
      run(async (context) => {
        const { topologySchema } = await import("../topology-schema.ts");
        await context.print(`${JSON.stringify(topologySchema, null, 2)}\n`);
        return 0;
      }),
    );
}
