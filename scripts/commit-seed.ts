import { execFileSync } from "node:child_process";
import process from "node:process";
import { ROOT } from "./run-step.ts";

/**
 * What the random tests start from: `SVCPROXY_SEED`, else this commit, so that the same tree passes or fails however often
 * it is tried and each commit tries something new. Where there is no git it is drawn.
 *
 * @returns a whole number from 0 to 2^31 - 1
 */
export function commitSeed(): string {
  const given = process.env["SVCPROXY_SEED"];
  if (given !== undefined) return given;
  try {
    const commit = execFileSync("git", ["rev-parse", "HEAD"], { cwd: ROOT, encoding: "utf8", stdio: "pipe" });
    return String(Number.parseInt(commit.slice(0, 7), 16));
  } catch {
    return String(Math.floor(Math.random() * 2 ** 28));
  }
}
