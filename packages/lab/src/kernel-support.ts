import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";

/**
 * Why tests that need network namespaces and these tools cannot run here, for the reason of a skip.
 * Under `CI=true` nothing may be skipped: it answers undefined, and a missing tool fails the test.
 */
export function whyNoKernelTests(tools: readonly string[] = ["ip", "iptables", "ip6tables"]): string | undefined {
  if (process.env["CI"] === "true") return undefined;
  if (process.getuid?.() !== 0) return "needs root";
  const missing = tools.filter((tool) => !isOnPath(tool));
  return missing.length === 0 ? undefined : `needs ${missing.join(", ")}`;
}

function isOnPath(tool: string): boolean {
  const folders = [...(process.env["PATH"] ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => {
    try {
      accessSync(join(folder, tool), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
