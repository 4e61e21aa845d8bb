import { pino } from "pino";
import { expect, onTestFinished, test, vi } from "vitest";
import { FailureLog } from "./failure-log.ts";

test("the first of a kind is written at once, the flood behind it as one line with its number", () => {
  const { log, lines } = recorder();
  for (let index = 0; index < 500; index++) log.report({ kind: "dial a", message: "dial failed", fields: { index } });
  expect(lines()).toEqual([{ level: 40, msg: "dial failed", index: 0 }]);
  vi.advanceTimersByTime(10_000);
  expect(lines()).toEqual([
    { level: 40, msg: "dial failed", index: 0 },
    { level: 40, msg: "dial failed", index: 499, suppressed: 499 },
  ]);
});

test("another kind is not held back", () => {
  const { log, lines } = recorder();
  for (const endpoint of ["a", "b", "a", "b"]) log.report({ kind: endpoint, message: "down", fields: { endpoint } });
  expect(lines().map((line) => line["endpoint"])).toEqual(["a", "b"]);
});

test("a kind that was quiet for a while is written at once again", () => {
  const { log, lines } = recorder();
  log.report({ kind: "dial a", message: "one", fields: {} });
  vi.advanceTimersByTime(20_000);
  log.report({ kind: "dial a", message: "two", fields: {} });
  expect(lines().map((line) => line["msg"])).toEqual(["one", "two"]);
});

test("ten thousand kinds do not become ten thousand lines", () => {
  const { log, lines } = recorder();
  for (let index = 0; index < 10_000; index++) log.report({ kind: `client ${index}`, message: "refused", fields: {} });
  expect(lines().length).toBeLessThan(1_100);
});

test("what was held back is written at the end", () => {
  const { log, lines } = recorder();
  for (let index = 0; index < 3; index++) log.report({ kind: "a", message: "failed", fields: {} });
  log.close();
  expect(lines().at(-1)).toEqual({ level: 40, msg: "failed", suppressed: 2 });
});

function recorder() {
  vi.useFakeTimers();
  onTestFinished(() => void vi.useRealTimers());
  const written: string[] = [];
  const log = new FailureLog(pino({ base: null, timestamp: false }, { write: (line) => void written.push(line) }));
  onTestFinished(() => log.close());
  return { log, lines: (): Record<string, unknown>[] => written.map((line) => JSON.parse(line)) };
}
