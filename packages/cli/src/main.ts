import process from "node:process";
import { processContext } from "./command-line/process-context.ts";
import { runProgram } from "./program.ts";

runProgram(process.argv.slice(2), processContext).then((exitCode) => {
  process.exitCode = exitCode;
});
