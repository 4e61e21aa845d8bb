import { execFile } from "node:child_process";
import process from "node:process";
import { setImmediate as turn } from "node:timers/promises";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { collectGarbage } from "./tune-v8.ts";

test("what nobody holds is gone at once", async () => {
  const garbage = new WeakRef({ large: new Array(1_000).fill("text") });
  // What a WeakRef was asked for, or made of, stays until the end of the turn.
  await turn();
  collectGarbage();
  expect(garbage.deref()).toBeUndefined();
});

test("while V8 looks for garbage by itself, it can be collected as well, and that process goes on", async () => {
  // Each begins at another point of the two looks that V8 takes here half a second after the start.
  const outcomes = await Promise.all([400, 700, 1_000, 1_300].map(collectDuringLook));
  expect(outcomes).toEqual(["went on", "went on", "went on", "went on"].map((text) => expect.stringContaining(text)));
});

async function collectDuringLook(afterMs: number): Promise<string> {
  const program = `
    import { setTimeout as sleep } from "node:timers/promises";
    import { collectGarbage } from ${JSON.stringify(new URL("tune-v8.ts", import.meta.url).href)};
    const kept = Array.from({ length: 400_000 }, (_, index) => ({ index: [index] }));
    await sleep(${afterMs});
    collectGarbage();
    await sleep(1_500);
    gc();
    console.log("went on", kept.length);`;
  const delays = ["--gc-memory-reducer-start-delay-ms=300", "--memory-reducer-delay-ms=100"];
  const flags = ["--expose-gc", "--optimize-for-size", ...delays, "--input-type=module"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, "-e", program]).catch(
    (error: { stdout: string; stderr: string }) => error,
  );
  return stdout + stderr;
}
