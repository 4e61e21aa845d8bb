import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { GarbageOfPlans } from "./garbage-of-plans.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function carryOut(garbage: GarbageOfPlans, count: number): void {
  for (let index = 0; index < count; index++) garbage.planCarriedOut();
}

test("is collected when it is quiet: after the first plan, and after many", () => {
  const collect = vi.fn();
  using garbage = new GarbageOfPlans({ collects: true, collect });
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

test("is collected after a look that mended something, and after some that did not", () => {
  const collect = vi.fn();
  using garbage = new GarbageOfPlans({ collects: true, collect });
  const look = (hasMended: boolean) => {
    garbage.looked(hasMended);
    vi.advanceTimersByTime(60_000);
    return collect.mock.calls.length;
  };
  expect([true, true, false, false, false, false, false, true].map(look)).toEqual([1, 2, 2, 2, 2, 2, 3, 4]);
});

test("is not collected while plan follows plan", () => {
  const collect = vi.fn();
  using garbage = new GarbageOfPlans({ collects: true, collect });
  for (let seconds = 0; seconds < 300; seconds++) {
    carryOut(garbage, 13);
    vi.advanceTimersByTime(1_000);
  }
  expect(collect).not.toHaveBeenCalled();
});

test("is left to V8 in a process that carries connections, and once it ends", () => {
  const collect = vi.fn();
  using carrying = new GarbageOfPlans({ collects: false, collect });
  carryOut(carrying, 500);
  const ended = new GarbageOfPlans({ collects: true, collect });
  carryOut(ended, 1);
  ended[Symbol.dispose]();
  vi.advanceTimersByTime(60_000);
  expect(collect).not.toHaveBeenCalled();
});
