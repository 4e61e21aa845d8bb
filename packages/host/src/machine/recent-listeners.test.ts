import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { MemoryMachine } from "../testing/machine/memory-machine.ts";
import { RecentListeners } from "./recent-listeners.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test("who listens is read anew for a port that is new, and for the others after a while", async () => {
  const machine = new MemoryMachine();
  const read = vi.spyOn(machine, "readListeners");
  const recent = new RecentListeners();
  const reads = async (...ports: number[]) => {
    await recent.read(machine, new Set(ports));
    return read.mock.calls.length;
  };
  expect(await reads(30001, 30002)).toBe(1);
  expect(await reads(30002)).toBe(1);
  expect(await reads(30001, 30003)).toBe(2);
  vi.advanceTimersByTime(60_000);
  expect(await reads(30001, 30003)).toBe(3);
  expect(await reads(30003)).toBe(3);
});
