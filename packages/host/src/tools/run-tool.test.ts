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

test.for([
  { name: "is not there", tool: "svcproxy-no-such-tool", args: [], code: "MISSING_TOOL" },
  { name: "may not be run", tool: "/etc/passwd", args: [], code: "MISSING_TOOL" },
  { name: "is killed by another", tool: "sh", args: ["-c", "kill -9 $$"], code: "TOOL_FAILED" },
  { name: "takes too long", tool: "sleep", args: ["60"], options: { timeoutMs: 50 }, code: "TOOL_FAILED" },
  { name: "prints too much", tool: "yes", args: [], options: { maxOutputBytes: 100_000 }, code: "TOOL_FAILED" },
])("a tool that $name is a fault that names it", async ({ tool, args, options = {}, code }) => {
  await expect(runTool(tool, args, options)).rejects.toMatchObject({ code, message: expect.stringContaining(tool) });
});

test("a tool that is missing says in which package it is", async () => {
  const missing = runTool("ip6tables-nft-save", [], { env: { PATH: "/nowhere" } });
  await expect(missing).rejects.toBeInstanceOf(MissingTool);
  await expect(missing).rejects.toMatchObject({ hint: expect.stringContaining("apt-get install iptables ") });
});

test.for(["before it starts", "while it runs"])("a tool is interrupted %s", async (moment) => {
  const abort = new AbortController();
  if (moment === "before it starts") abort.abort();
  const running = runTool("sleep", ["60"], { signal: abort.signal });
  abort.abort();
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
});

test("an interrupted tool ends with what it started, which has its output open", async () => {
  const abort = new AbortController();
  const running = runTool("sh", ["-c", "sleep 61.5 & wait"], { signal: abort.signal });
  setTimeout(() => abort.abort(), 100);
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
  const { stdout } = await runTool("sh", ["-c", "pgrep -f '^sleep 61[.]5' || :"]);
  expect(stdout).toBe("");
});

test("megabytes reach a tool, and come back from it, as they are", async () => {
  const input = "a…🐟é\n".repeat(300_000);
  const { stdout } = await runTool("cat", [], { input });
  expect(stdout === input).toBe(true);
});

test("what goes beyond the bound of its stderr is dropped, and the tool goes on", async () => {
  const { stderr, stdout } = await runTool("sh", ["-c", "head -c 300000 /dev/zero >&2; echo done"], {
    maxErrorBytes: 1000,
  });
  expect({ length: stderr.length, stdout }).toEqual({ length: 1000, stdout: "done\n" });
});

test("a tool keeps a descriptor open, in the C locale", async () => {
  const { stdout } = await runTool("sh", ["-c", "readlink /proc/self/fd/3; echo $LC_ALL"], { heldFd: 1 });
  expect(stdout).toMatch(/^\S+\nC\n$/);
  expect((await runTool("sh", ["-c", "readlink /proc/self/fd/3 || :"])).stdout).not.toMatch(
    /^(pipe|socket|\/dev\/pts)/,
  );
});
