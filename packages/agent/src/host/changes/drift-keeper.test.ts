import type { Difference } from "@svcproxy/host";
import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { DriftKeeper } from "./drift-keeper.ts";

const MISSING: Difference = { kind: "missing-chain", place: "IPv4 nat KUBE-SERVICES", text: "it is gone" };
const NFT = { pid: 7, program: "nft" };

function newKeeper(mend: () => Promise<readonly Difference[] | undefined>) {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const lines: string[] = [];
  const keeper = new DriftKeeper({ mend, logger: pino({ base: null }, { write: (line: string) => lines.push(line) }) });
  onTestFinished(() => keeper.stop());
  return { keeper, said: () => lines.join("") };
}

test("changes that come together are looked at once, and what was mended is counted and named", async () => {
  const mend = vi.fn(async () => [MISSING]);
  const { keeper, said } = newKeeper(mend);
  for (let count = 0; count < 5; count++) keeper.noticed(NFT);
  await vi.advanceTimersByTimeAsync(100);
  expect(mend).toHaveBeenCalledTimes(1);
  expect([keeper.mendedCount, keeper.problem]).toEqual([1, undefined]);
  expect(said()).toContain(
    "nft (pid 7) changed what is ours; mended 1 difference: IPv4 nat KUBE-SERVICES: missing-chain",
  );
});

test("a look that finds nothing counts for nothing", async () => {
  const { keeper, said } = newKeeper(async () => []);
  keeper.noticed(NFT);
  await vi.advanceTimersByTimeAsync(100);
  expect([keeper.mendedCount, said()]).toEqual([0, ""]);
});

test("a change that comes during a look is looked at afterwards", async () => {
  let looks = 0;
  const { keeper } = newKeeper(async () => {
    looks += 1;
    if (looks === 1) keeper.noticed(NFT);
    return [];
  });
  keeper.noticed(NFT);
  await vi.advanceTimersByTimeAsync(200);
  expect(looks).toBe(2);
});

test("one that undoes it again and again is let be, longer each time, and that is a problem until it is quiet", async () => {
  let looks = 0;
  const { keeper, said } = newKeeper(async () => {
    looks += 1;
    setTimeout(() => keeper.noticed(NFT), 1);
    return [MISSING];
  });
  keeper.noticed(NFT);
  await vi.advanceTimersByTimeAsync(115);
  expect(looks).toBe(5);
  expect(keeper.problem?.text).toBe(
    "nft (pid 7) changes what is ours again and again, and is undone at once each time",
  );
  await vi.advanceTimersByTimeAsync(500);
  expect(looks).toBe(10);
  expect(keeper.problem).toMatchObject({ code: "RULES_CONTESTED", severity: "error" });
  expect(said()).toContain("is let be for 1 s each time");
  await vi.advanceTimersByTimeAsync(30_000);
  expect(looks).toBeLessThan(16);
  keeper.stop();
  await vi.advanceTimersByTimeAsync(300_000);
  expect(keeper.problem).toBeUndefined();
});

test("who takes the same away every few seconds, and does not answer what is mended, is undone at once each time", async () => {
  const mend = vi.fn(async () => [MISSING]);
  const { keeper, said } = newKeeper(mend);
  for (let count = 1; count <= 20; count++) {
    keeper.noticed(NFT);
    await vi.advanceTimersByTimeAsync(100);
    expect(mend).toHaveBeenCalledTimes(count);
    await vi.advanceTimersByTimeAsync(3_000);
  }
  expect(keeper.problem).toMatchObject({ code: "RULES_CONTESTED" });
  expect(said().match(/RULES_CONTESTED/g)).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(keeper.problem).toBeUndefined();
});

test("who changes one thing after the other contests nothing", async () => {
  let place = 0;
  const mend = vi.fn(async () => [{ ...MISSING, place: `IPv4 nat KUBE-SVC-${place++}` }]);
  const { keeper } = newKeeper(mend);
  for (let count = 1; count <= 20; count++) {
    keeper.noticed(NFT);
    await vi.advanceTimersByTimeAsync(100);
  }
  expect(mend).toHaveBeenCalledTimes(20);
  expect(keeper.problem).toBeUndefined();
});
