import { expect, test } from "vitest";
import { loopbackPlan, someVip } from "./testing/loopback-plan.ts";
import { startProxy, until } from "./testing/test-proxy.ts";
import { startServer } from "./testing/test-server.ts";

test("a thousand frontends come and go, and none is left behind", async () => {
  const [a, b] = [someVip(), someVip()];
  const services = (vip: string) =>
    Array.from({ length: 1_000 }, (_, index) => ({
      vip,
      port: 10_000 + index,
      endpoints: [["127.0.0.1", 9]] as const,
    }));
  const proxy = await startProxy([]);
  expect((await proxy.apply(loopbackPlan(services(a)))).added).toHaveLength(1_000);
  const { added, removed, frontends } = await proxy.apply(loopbackPlan(services(b)));
  expect([added.length, removed.length]).toEqual([1_000, 1_000]);
  expect(frontends.every(({ state }) => state.kind === "listening")).toBe(true);
  expect(proxy.listeners().every(({ key }) => key.includes(b))).toBe(true);
  await proxy.apply(loopbackPlan([]));
  expect(proxy.listeners()).toEqual([]);
});

test("a frontend that gets its first endpoint listens, and refuses again without", async () => {
  const vip = someVip();
  const state = async (endpoints: readonly (readonly [string, number])[]) =>
    (await proxy.apply(loopbackPlan([{ vip, port: 7070, endpoints }]))).frontends[0]?.state.kind;
  const proxy = await startProxy([]);
  expect(await state([])).toBe("refusing");
  expect(await state([["127.0.0.1", 9]])).toBe("listening");
  expect(await state([])).toBe("refusing");
  expect(proxy.listeners()).toEqual([]);
});

test("a plan that changes while a failed frontend is tried again wins", async () => {
  const vip = someVip();
  const holder = await startServer(() => {}, vip);
  const service = { vip, port: holder.port, endpoints: [["127.0.0.1", 9]] } as const;
  const proxy = await startProxy([service]);
  holder.server.close();
  for (let change = 0; change < 20; change++) {
    await proxy.apply(loopbackPlan(change % 2 === 0 ? [] : [service]));
    await new Promise((resolve) => setTimeout(resolve, 37)); // against the retries' half second
  }
  await proxy.apply(loopbackPlan([]));
  await until(
    () => proxy.listeners().length,
    (count) => count === 0,
  );
});
