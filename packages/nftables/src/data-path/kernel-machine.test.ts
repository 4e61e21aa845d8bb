import { MemoryMachine } from "@svcproxy/host/testing";
import { expect, test } from "vitest";
import { kernelMachine } from "./kernel-machine.ts";

const { signal } = new AbortController();

test("whoever keeps our tables relies on the look of whoever chose to; another look is one", async () => {
  const nft = () => ({ exitCode: 0, stdout: "", stderr: "" });
  const memory = new MemoryMachine({ tools: { nft } });
  const machine = kernelMachine(memory);
  const ask = async (isExclusive: boolean, family: 4 | 6) => {
    await using open = await machine.open({ signal, isExclusive, onWait: undefined });
    await open.requireSupport(family, { signal });
    return memory.commands.length;
  };
  expect([await ask(true, 6), await ask(false, 4), await ask(true, 4), await ask(true, 6)]).toEqual([1, 2, 2, 2]);
  expect(await ask(false, 4)).toBe(3);
});
