import { expect, test } from "vitest";
import { MissingTool, runTool } from "./run-tool.ts";

test("a tool is out of reach of the terminal's Ctrl-C, which goes to a whole process group", async () => {
  const fields = "read -r pid name state parent group rest < /proc/$$/stat; echo $$ $group";
  const { stdout } = await runTool("sh", ["-c", fields]);
  const [pid, group] = stdout.trim().split(" ");
  expect(group).toBe(pid);
});

test("what a tool says comes back whatever its exit code, and its input reaches it", async () => {
  const output = await runTool("sh", ["-c", "cat; echo no >&2; exit 3"], { input: "fed" });
  expect(output).toEqual({ exitCode: 3, stdout: "fed", stderr: "no\n" });
});

test("a tool that is not there, and one that is stopped, are errors with a code", async () => {
  await expect(runTool("svcproxy-no-such-tool", [])).rejects.toBeInstanceOf(MissingTool);
  await expect(runTool("sh", ["-c", "kill -9 $$"])).rejects.toMatchObject({ code: "TOOL_FAILED" });
  const abort = new AbortController();
  const running = runTool("sleep", ["60"], { signal: abort.signal });
  abort.abort();
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
});
