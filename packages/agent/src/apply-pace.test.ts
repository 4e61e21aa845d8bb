import { describe, expect, test } from "vitest";
import { ApplyPace } from "./apply-pace.ts";

const TOOK_MS = 10;

/** When each of `count` plans starts for which there is always a change, each after the pause that the one before asked for. */
function startsOf(count: number, { pace = new ApplyPace(), firstMs = 0, tookMs = TOOK_MS } = {}): readonly number[] {
  const starts: number[] = [];
  for (let startedMs = firstMs; starts.length < count; ) {
    starts.push(startedMs);
    const endedMs = startedMs + tookMs;
    startedMs = endedMs + pace.pauseMs({ startedMs, endedMs });
  }
  return starts;
}

function gapsOf(starts: readonly number[]): readonly number[] {
  return starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
}

describe("the pace of plans that are carried out", () => {
  test("a few that follow one another closely wait as long as each took", () => {
    expect(gapsOf(startsOf(4))).toEqual([20, 20, 20]);
  });

  test("while changes come without a break, one starts every 90 ms", () => {
    expect(gapsOf(startsOf(40)).slice(-20)).toEqual(Array.from({ length: 20 }, () => expect.closeTo(90, 6)));
  });

  test("after a quiet time they may follow closely again", () => {
    const pace = new ApplyPace();
    const last = startsOf(40, { pace }).at(-1) ?? 0;
    expect(gapsOf(startsOf(4, { pace, firstMs: last + 1_000 }))).toEqual([20, 20, 20]);
  });

  test("those that take long take a seventh of the time, but none waits for long", () => {
    const gaps = (gapMs: number) => Array.from({ length: 10 }, () => expect.closeTo(gapMs, 6));
    expect(gapsOf(startsOf(40, { tookMs: 25 })).slice(-10)).toEqual(gaps(90));
    expect(gapsOf(startsOf(40, { tookMs: 100 })).slice(-10)).toEqual(gaps(610));
    expect(gapsOf(startsOf(40, { tookMs: 300 })).slice(-10)).toEqual(gaps(900));
    expect(gapsOf(startsOf(40, { tookMs: 5_000 })).slice(-10)).toEqual(gaps(5_100));
  });
});
