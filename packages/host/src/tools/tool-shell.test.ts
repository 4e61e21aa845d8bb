import process from "node:process";
import { expect, test } from "vitest";
import { MissingTool, runTool, type ToolRunner } from "./run-tool.ts";
import { ToolShell } from "./tool-shell.ts";

/** For a fallback that must not be needed. */
const nobody: ToolRunner = async (tool) => {
  throw new Error(`${tool} was not started by the shell`);
};

test("what tools say comes back whatever their exit codes, and their input reaches them", async () => {
  await using shell = new ToolShell({ fallback: nobody });
  const script = "cat; echo no >&2; exit 3";
  for (const input of ["fed\n", 'it\'s $HOME `id` \\ "x"\nEOF\n']) {
    expect(await shell.run("sh", ["-c", script], { input })).toEqual({ exitCode: 3, stdout: input, stderr: "no\n" });
  }
  expect((await shell.run("sh", ["-c", script])).stdout).toBe("");
  expect((await shell.run("printf", ["%s", "it's"])).stdout).toBe("it's");
});

test("all tools have one parent, of one session of its own, and are told by their own pids", async () => {
  await using shell = new ToolShell({ fallback: nobody });
  const parents: string[] = [];
  const pids: number[] = [];
  for (let index = 0; index < 3; index++) {
    const fields = 'read -r pid name state parent group rest < /proc/self/stat; echo "$pid $parent $group"';
    const { stdout } = await shell.run("sh", ["-c", `echo $$ > /dev/null; ${fields}`], {
      onStarted: (pid) => pids.push(pid),
    });
    const [pid, parent = "", group] = stdout.trim().split(" ");
    expect(pids.at(-1)).toBe(Number(pid));
    expect(group).toBe(parent);
    parents.push(parent);
  }
  expect(new Set(parents).size).toBe(1);
  expect(parents[0]).not.toBe(String(process.pid));
});

test.for([
  { name: "is not there", tool: "svcproxy-no-such-tool", args: [], code: "MISSING_TOOL" },
  { name: "may not be run", tool: "/etc/passwd", args: [], code: "MISSING_TOOL" },
  { name: "is killed by another", tool: "sh", args: ["-c", "kill -9 $$"], code: "TOOL_FAILED" },
  { name: "takes too long", tool: "sleep", args: ["60"], options: { timeoutMs: 50 }, code: "TOOL_FAILED" },
  { name: "prints too much", tool: "yes", args: [], options: { maxOutputBytes: 100_000 }, code: "TOOL_FAILED" },
])("a tool that $name is a fault that names it, and the next one runs", async ({ tool, args, options = {}, code }) => {
  await using shell = new ToolShell({ fallback: nobody });
  for (let round = 0; round < 2; round++) {
    const failing = shell.run(tool, args, options);
    await expect(failing).rejects.toMatchObject({ code, message: expect.stringContaining(tool) });
    expect((await shell.run("echo", ["here"])).stdout).toBe("here\n");
  }
});

test("a tool that is missing says in which package it is", async () => {
  await using shell = new ToolShell({ command: ["env", "PATH=/nowhere", "/bin/sh"], fallback: nobody });
  await expect(shell.run("nft", [])).rejects.toBeInstanceOf(MissingTool);
});

test.for(["before it starts", "while it runs"])("a tool is interrupted %s, with what it started", async (moment) => {
  await using shell = new ToolShell();
  const abort = new AbortController();
  if (moment === "before it starts") abort.abort();
  const running = shell.run("sh", ["-c", "sleep 63.5 & wait"], {
    signal: abort.signal,
    onStarted: () => abort.abort(),
  });
  await expect(running).rejects.toMatchObject({ code: "INTERRUPTED" });
  expect((await shell.run("sh", ["-c", "pgrep -f '^sleep 63[.]5' || :"])).stdout).toBe("");
});

test("where the shell is killed, its tool may not have ended, and another shell runs the next", async () => {
  await using shell = new ToolShell({ fallback: nobody });
  const { stdout } = await shell.run("sh", ["-c", "echo $PPID"]);
  const running = shell.run("sleep", ["5"], { onStarted: () => process.kill(Number(stdout), "SIGKILL") });
  await expect(running).rejects.toMatchObject({ code: "TOOL_FAILED", message: expect.stringContaining("sleep") });
  expect((await shell.run("echo", ["here"])).stdout).toBe("here\n");
});

test("tools that come together run one after the other", async () => {
  await using shell = new ToolShell({ fallback: nobody });
  const outputs = await Promise.all(["one", "two", "three"].map((word) => shell.run("echo", [word])));
  expect(outputs.map(({ stdout }) => stdout)).toEqual(["one\n", "two\n", "three\n"]);
});

test("what would wait for long, or is large, is started in the ordinary way", async () => {
  const started: string[] = [];
  const fallback: ToolRunner = (tool, args, options) => {
    started.push(tool);
    return runTool(tool, args, options);
  };
  await using shell = new ToolShell({ fallback });
  const outputs = await Promise.all([shell.run("sleep", ["1"]), shell.run("echo", ["two"])]);
  expect(outputs.map(({ stdout }) => stdout)).toEqual(["", "two\n"]);
  const large = "x".repeat(100_000);
  expect((await shell.run("cat", [], { input: large })).stdout).toBe(large);
  expect(started).toEqual(["echo", "cat"]);
});

test("large output comes back whole, and what goes beyond the bound of stderr is dropped", async () => {
  await using shell = new ToolShell({ fallback: nobody });
  const script = "seq 300000; head -c 300000 /dev/zero >&2; echo done";
  const { stdout, stderr } = await shell.run("sh", ["-c", script], { maxErrorBytes: 1000 });
  expect(stdout.split("\n").length).toBe(300_002);
  expect(stderr.length).toBe(1000);
});

test("tools keep a descriptor open, in the C locale, and the shell is over when it is put away", async () => {
  const shell = new ToolShell({ fallback: nobody, heldFd: 1 });
  const { stdout } = await shell.run("sh", ["-c", "readlink /proc/self/fd/4; echo $LC_ALL $PPID"]);
  expect(stdout).toMatch(/^\S+\nC \d+\n$/);
  await shell[Symbol.asyncDispose]();
  const pid = Number(stdout.trim().split(" ").at(-1));
  expect(() => process.kill(pid, 0)).toThrow("ESRCH");
});

test("one that is put away while a tool runs waits for it, and does not let its process end before that", async () => {
  const script = `
    const { ToolShell } = await import(${JSON.stringify(new URL("tool-shell.ts", import.meta.url).href)});
    const shell = new ToolShell({ command: ["sh", "-c", "sh; sleep 0.3"] });
    const runs = [shell.run("true", []), shell.run("sh", ["-c", "sleep 0.2; echo said"])];
    await runs[0];
    await new Promise((resolve) => setTimeout(resolve, 50));
    await shell[Symbol.asyncDispose]();
    process.stdout.write((await runs[1]).stdout);`;
  const { exitCode, stdout } = await runTool(process.execPath, ["--input-type=module", "-e", script]);
  expect([exitCode, stdout]).toEqual([0, "said\n"]);
});

test("a part of what a shell is told to do is not done", async () => {
  const { stdout } = await runTool("sh", [], { input: "{\ncat <<'end' &\nhalf of it\n" });
  expect(stdout).toBe("");
});
