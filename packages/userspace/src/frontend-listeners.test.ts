import { expect, test } from "vitest";
import { loopbackPlan, someVip } from "./testing/loopback-plan.ts";
import { startProxy } from "./testing/test-proxy.ts";
import { startNamed, startServer, type TestServer, talk } from "./testing/test-server.ts";

test("a thousand frontends come and go, and none is left behind", async () => {
  const [a, b] = [someVip(), someVip()];
  const services = (vip: string) =>
    Array.from({ length: 1_000 }, (_, index) => ({
      vip,
      port: 10_000 + index,
      endpoints: [["127.0.0.1", 9]] as const,
    }));
  const proxy = await startProxy([]);
  expect((await proxy.apply(loopbackPlan(services(a)))).opened).toBe(1_000);
  const { opened, closed, frontends } = await proxy.apply(loopbackPlan(services(b)));
  expect([opened, closed]).toEqual([1_000, 1_000]);
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

test("of a port whose new address is taken the old one stays, with the new endpoints, until the new one listens", async () => {
  const [old, moved] = [someVip(), someVip()];
  const holder = await startServer(() => {}, moved);
  const [first, second] = [await startNamed("first"), await startNamed("second")];
  const plan = (vip: string, endpoint: TestServer) =>
    loopbackPlan([{ name: "web", vip, port: holder.port, endpoints: [["127.0.0.1", endpoint.port]] }]);
  const proxy = await startProxy([]);
  await proxy.apply(plan(old, first));
  const { frontends } = await proxy.apply(plan(moved, second));
  expect(frontends.map(({ address, state }) => [address, state.kind])).toEqual([
    [moved, "failed"],
    [old, "listening"],
  ]);
  expect((await talk({ host: old, port: holder.port })).text).toBe("second");
  holder.server.close();
  expect(await proxy.apply(plan(moved, second), { changed: new Set() })).toMatchObject({ opened: 1, closed: 1 });
  expect((await talk({ host: moved, port: holder.port })).text).toBe("second");
  expect((await talk({ host: old, port: holder.port })).code).toBe("ECONNREFUSED");
});
