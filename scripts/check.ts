import process from "node:process";
import { runGates } from "./gates.ts";
import { runStep } from "./run-step.ts";

// `pnpm check`: the one gate before a commit. `pnpm test` adds the set-up and the e2e run.
const failed = [...(await runGates())];
if (!(await runStep("vitest", ["run"]))) failed.push("unit tests");
process.stdout.write(failed.length === 0 ? "\ncheck: all good\n" : `\ncheck: failed: ${failed.join(", ")}\n`);
process.exitCode = failed.length === 0 ? 0 : 1;
