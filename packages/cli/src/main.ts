import process from "node:process";
import { processContext } from "./command-line/process-context.ts";
import { runProgram } from "./program.ts";

// Node's own handler of this one would open its inspector to every user of this machine.
process.on("SIGUSR1", () => {});

runProgram(process.argv.slice(2), processContext).then((exitCode) => {
  process.exitCode = exitCode;
});
