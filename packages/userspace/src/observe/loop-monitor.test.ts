import { setTimeout as sleep } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { LoopMonitor } from "./loop-monitor.ts";

test("a loop that was blocked shows the delay, once", async () => {
  const monitor = new LoopMonitor();
  onTestFinished(() => monitor.close());
  await sleep(100); // it has to have sampled before the block
  monitor.take();
  await sleep(50);
  const until = performance.now() + 300;
  while (performance.now() < until);
  await sleep(50);
  const blocked = monitor.take();
  expect(blocked.delayMaxMs).toBeGreaterThan(200);
  expect(blocked.utilization).toBeGreaterThan(0.3);
  await sleep(100);
  expect(monitor.take().delayMaxMs).toBeLessThan(blocked.delayMaxMs);
});

test("a reading right after the last one has no nonsense in it", () => {
  const monitor = new LoopMonitor();
  onTestFinished(() => monitor.close());
  monitor.take();
  const reading = monitor.take();
  expect(reading).toEqual({ delayP50Ms: 0, delayP99Ms: 0, delayMaxMs: 0, utilization: expect.any(Number) });
  expect(reading.utilization).toBeGreaterThanOrEqual(0);
  expect(reading.utilization).toBeLessThanOrEqual(1);
});
