import process from "node:process";
import { findWrongArrows } from "./check-arrows.ts";
import { ROOT, runStep } from "./run-step.ts";

/** Format, lint, types and arrows. Returns the names of those that failed. */
export async function runGates(): Promise<readonly string[]> {
  const failed: string[] = [];
  if (!(await runStep("biome", ["ci", ...(process.stdout.isTTY ? [] : ["--colors=off"]), "."])))
    failed.push("format and lint");
  if (
    !(await runStep("tsc", ["-p", "."])) ||
    !(await runStep("turbo", ["run", "check-types", "--output-logs=errors-only"]))
  ) {
    failed.push("types");
  }
  process.stdout.write("\n> architecture arrows\n");
  const wrong = findWrongArrows(ROOT);
  for (const { file, line, message } of wrong) process.stdout.write(`${file}:${line}: ${message}\n`);
  if (wrong.length > 0) failed.push("arrows");
  return failed;
}
