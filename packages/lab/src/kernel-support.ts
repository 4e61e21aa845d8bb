import process from "node:process";
import { missingTools } from "@svcproxy/host";

/**
 * Why tests that need network namespaces and these tools cannot run here, for the reason of a skip.
 * Under `CI=true` nothing may be skipped: it answers undefined, and a missing tool fails the test.
 */
export function whyNoKernelTests(tools: readonly string[] = ["ip", "iptables", "ip6tables"]): string | undefined {
  if (process.env["CI"] === "true") return undefined;
  if (process.getuid?.() !== 0) return "needs root";
  const missing = missingTools(tools);
  return missing.length === 0 ? undefined : `needs ${missing.join(", ")}`;
}
