import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GarbageOfPlans } from "./garbage-of-plans.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function carryOut(garbage: GarbageOfPlans, count: number): void {
  for (let index = 0; index < count; index++) garbage.planCarriedOut();
}

test("is collected when it is quiet: after the first plan, and after many", () => {
  const collect = vi.fn();
  using garbage = new GarbageOfPlans({ collects: true, collect, readMemory: () => 0 });
  carryOut(garbage, 1);
  expect(collect).not.toHaveBeenCalled();
  vi.advanceTimersByTime(60_000);
  expect(collect).toHaveBeenCalledTimes(1);
  carryOut(garbage, 90);
  vi.advanceTimersByTime(60_000);
  expect(collect).toHaveBeenCalledTimes(1);
  carryOut(garbage, 20);
  vi.advanceTimersByTime(60_000);
  expect(collect).toHaveBeenCalledTimes(2);
});

test.for([
  { after: "a look", work: (garbage: GarbageOfPlans) => garbage.looked() },
  { after: "a few plans", work: (garbage: GarbageOfPlans) => carryOut(garbage, 3) },
])("is collected after $after that left much", ({ work }) => {
  let mebibytes = 100;
  const collect = vi.fn(() => {
    mebibytes = 100;
  });
  using garbage = new GarbageOfPlans({ collects: true, collect, readMemory: () => mebibytes * 1024 * 1024 });
  const countAfter = (left: number) => {
    mebibytes = left;
    work(garbage);
    vi.advanceTimersByTime(60_000);
    return collect.mock.calls.length;
  };
  expect([100, 115, 116, 110, 115, 190].map(countAfter)).toEqual([1, 1, 2, 2, 2, 3]);
});

test("is not collected while plan follows plan", () => {
  const collect = vi.fn();
  using garbage = new GarbageOfPlans({ collects: true, collect, readMemory: () => 0 });
  for (let seconds = 0; seconds < 300; seconds++) {
    carryOut(garbage, 13);
    vi.advanceTimersByTime(1_000);
  }
  expect(collect).not.toHaveBeenCalled();
});

test("is left to V8 in a process that carries connections, and once it ends", () => {
  const collect = vi.fn();
  using carrying = new GarbageOfPlans({ collects: false, collect, readMemory: () => Number.MAX_SAFE_INTEGER });
  carryOut(carrying, 500);
  const ended = new GarbageOfPlans({ collects: true, collect, readMemory: () => 0 });
  carryOut(ended, 1);
  ended[Symbol.dispose]();
  vi.advanceTimersByTime(60_000);
  expect(collect).not.toHaveBeenCalled();
});
