import { join } from "node:path";
import { expect, test } from "vitest";
import { runTool } from "../tools/run-tool.ts";

const PROGRAM = join(import.meta.dirname, "../testing/exhausted-program.ts");

test("without a descriptor to spare each fault says so, what was reserved starts tools, and addresses are the last known", async () => {
  const script = 'ulimit -n 100; exec "$@"';
  const { stdout, stderr } = await runTool("sh", ["-c", script, "sh", process.execPath, PROGRAM]);
  const none = "this process has no file descriptor left";
  const ended = JSON.stringify({ exitCode: 0, stdout: "", stderr: "" });
  expect(JSON.parse(stdout), stderr).toEqual({
    tool: `OUT_OF_DESCRIPTORS: Cannot run true: ${none}`,
    reserved: ended,
    again: ended,
    sysctl: `OUT_OF_DESCRIPTORS: Cannot read net.ipv4.ip_forward: ${none}`,
    addresses: "as before: OUT_OF_DESCRIPTORS",
    secondReserve: `OUT_OF_DESCRIPTORS: Cannot keep 16 file descriptors in reserve: ${none}`,
    afterwards: ended,
  });
});
