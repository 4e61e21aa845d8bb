import { pino } from "pino";
import { expect, test } from "vitest";
import { socketDataPlane } from "./plane/socket-streams.ts";
import { DEFAULT_PROXY_OPTIONS } from "./proxy-options.ts";
import { RunningProxy } from "./running-proxy.ts";
import { loopbackPlan } from "./testing/loopback-plan.ts";
import type { WorkerChange } from "./workers/worker-change.ts";
import type { WorkerGroup } from "./workers/worker-group.ts";

/** Workers that carry out what they are told only when they are waited for. */
class LazyGroup implements WorkerGroup {
  /** How many items were told at once, before anybody waited. */
  readonly told: number[] = [];
  #untold = 0;

  apply({ endpoints = [], frontends = [], goneEndpoints = [], goneFrontends = [] }: WorkerChange): void {
    this.#untold += endpoints.length + frontends.length + goneEndpoints.length + goneFrontends.length;
  }

  async settle(): Promise<void> {
    this.told.push(this.#untold);
    this.#untold = 0;
  }

  async listen(): Promise<void> {}
  unlisten(): void {}
  setDown(): void {}
  async read() {
    return { workers: [], retired: [] };
  }
  async connections() {
    return { connections: [], total: 0 };
  }
  async drain(): Promise<void> {}
  async close(): Promise<void> {}
}

test("a large change is told in small parts, each once the one before was carried out", async () => {
  const group = new LazyGroup();
  const plane = socketDataPlane();
  if (plane === undefined) throw new Error("this Node has no sockets");
  const proxy = new RunningProxy({
    options: { ...DEFAULT_PROXY_OPTIONS, healthIntervalMs: 0 },
    surroundings: { logger: pino({ level: "silent" }) },
    plane,
    group,
  });
  const endpoints = Array.from({ length: 1_000 }, (_, index) => ["127.0.0.9", 10_000 + index] as const);
  await proxy.apply(loopbackPlan([{ vip: "192.0.2.1", port: 80, endpoints }]));
  expect(group.told.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(1_000);
  expect(Math.max(...group.told)).toBeLessThanOrEqual(200);
  await proxy.apply(loopbackPlan([]));
  expect(Math.max(...group.told)).toBeLessThanOrEqual(200);
  await proxy.close();
});
