import type { DialResult, DialTarget } from "@svcproxy/doctor";
import { runTool } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { ownProgram } from "../command-line/this-program.ts";

const RESULTS: ReadonlySet<unknown> = new Set<DialResult>(["open", "refused", "unreachable", "timeout"]);

/** Dials from within another network namespace: this program once more, started there. */
export async function dialAsPod(
  pid: number,
  targets: readonly DialTarget[],
): Promise<{ readonly results: readonly DialResult[] } | { readonly because: string }> {
  const args = [`--net=/proc/${pid}/ns/net`, "--", ...ownProgram(), "dial"];
  try {
    const { exitCode, stdout, stderr } = await runTool("nsenter", args, { input: JSON.stringify(targets) });
    const results: unknown = exitCode === 0 ? JSON.parse(stdout) : undefined;
    if (isResults(results) && results.length === targets.length) return { results };
    const [line = "it gives no reason"] = stderr.split("\n").filter((text) => text.trim() !== "");
    return { because: `nsenter into the namespace of pid ${pid} failed: ${line.trim()}` };
  } catch (error) {
    if (error instanceof EnvironmentError && error.code !== "INTERRUPTED") return { because: error.message };
    throw error;
  }
}

function isResults(value: unknown): value is readonly DialResult[] {
  return Array.isArray(value) && value.every((one) => RESULTS.has(one));
}
