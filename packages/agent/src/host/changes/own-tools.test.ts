import { EndedTool, type ToolRunner, type ToolStarter, thisMachine } from "@svcproxy/host";
import { expect, test } from "vitest";
import { OwnTools } from "./own-tools.ts";

/** Tools that a machine starts at less cost, as `run` says; `ends`: how often that was over. */
function starting(run: ToolRunner) {
  const counts = { ends: 0 };
  const startTools = (): ToolStarter => ({
    run,
    async [Symbol.asyncDispose]() {
      counts.ends += 1;
    },
  });
  return { machine: { ...thisMachine, startTools }, counts };
}

test("tools are started by way of what starts many at less cost, which ends with whoever has them", async () => {
  const started: string[] = [];
  const { machine, counts } = starting(async (tool, _args, { onStarted } = {}) => {
    started.push(tool);
    onStarted?.(4711);
    return { exitCode: 0, stdout: "", stderr: "" };
  });
  {
    await using tools = new OwnTools(machine, { knowsPids: true });
    await tools.machine.run("ip", ["-V"]);
    await tools.machine.run("nft", ["-v"]);
    expect(tools.isOurs({ pid: 4711, program: "nft" })).toBe(true);
    expect([started, counts.ends]).toEqual([["ip", "nft"], 0]);
  }
  expect(counts.ends).toBe(1);
});

test("an nft that crashes is explained", async () => {
  const { machine } = starting(async (tool) => {
    throw new EndedTool(tool, "SIGSEGV");
  });
  await using tools = new OwnTools(machine);
  await expect(tools.machine.run("nft", ["list", "tables"])).rejects.toMatchObject({ code: "NFT_CRASHED" });
});
