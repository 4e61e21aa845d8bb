import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { loopbackPlan, type TestEndpoint, type TestService } from "../testing/loopback-plan.ts";
import { ServedServices } from "./served-services.ts";

const A: TestService = { name: "a", vip: "10.96.0.1", port: 80, endpoints: [["10.0.1.1", 8080]] };
const B: TestService = { name: "b", vip: "10.96.0.2", port: 80, endpoints: [["10.0.1.2", 8080]] };

async function served(...services: readonly TestService[]) {
  const state = new ServedServices();
  await state.update(loopbackPlan(services));
  return state;
}

describe("an update", () => {
  test("tells what is new, and the second time nothing", async () => {
    const state = new ServedServices();
    const first = await state.update(loopbackPlan([A, B]));
    expect(first.frontends.map(({ key }) => key)).toEqual(["tcp 10.96.0.1:80", "tcp 10.96.0.2:80"]);
    expect(first.endpoints.map(({ key }) => key)).toEqual(["tcp 10.0.1.1:8080", "tcp 10.0.1.2:8080"]);
    const again = await state.update(loopbackPlan([A, B]));
    expect(again).toEqual({ frontends: [], goneFrontends: [], endpoints: [], goneEndpoints: [] });
  });

  test("looks at what may have changed only, but for what came and went", async () => {
    const state = await served(A, B);
    const moved = (service: TestService, host: string) => ({ ...service, endpoints: [[host, 8080] as const] });
    const plan = loopbackPlan([moved(A, "10.0.1.9"), moved(B, "10.0.1.9"), { ...A, name: "c", vip: "10.96.0.3" }]);
    const change = await state.update(plan, new Set(["default/a"]));
    expect(change.frontends.map(({ service }) => service)).toEqual(["default/a", "default/c"]);
    expect((await state.update(loopbackPlan([A]), new Set())).goneFrontends.map(({ service }) => service)).toEqual([
      ...["default/b", "default/c"],
    ]);
  });

  test("names an endpoint anew when another service has it too, and as gone when the last has lost it", async () => {
    const shared = { ...B, endpoints: A.endpoints };
    const state = await served(A);
    const first = await state.update(loopbackPlan([A, shared]));
    expect(first.endpoints).toMatchObject([{ key: "tcp 10.0.1.1:8080", services: ["default/a", "default/b"] }]);
    const second = await state.update(loopbackPlan([shared]));
    expect(second.endpoints).toMatchObject([{ services: ["default/b"] }]);
    expect((await state.update(loopbackPlan([]))).goneEndpoints.map(({ key }) => key)).toEqual(["tcp 10.0.1.1:8080"]);
  });
});

test("of two that want the same address and port the first has it, and the other when it goes", async () => {
  const other = { ...B, vip: A.vip };
  const state = await served(A, other);
  expect(state.frontends().map(({ service }) => service)).toEqual(["default/a"]);
  const { frontends, goneFrontends } = await state.update(loopbackPlan([other]));
  expect(frontends.map(({ service }) => service)).toEqual(["default/b"]);
  expect(goneFrontends).toEqual([]);
});

test("any walk of updates ends where a fresh start would, and its changes add up to that", async () => {
  const anyEndpoint = fc.constantFrom<TestEndpoint>(["10.0.1.1", 80], ["10.0.1.2", 80], ["10.0.1.3", 80]);
  const anyService = fc.record({
    name: fc.constantFrom("a", "b", "c"),
    vip: fc.constantFrom("10.96.0.1", "10.96.0.2"),
    port: fc.constantFrom(80, 81),
    endpoints: fc.uniqueArray(anyEndpoint, { selector: ([address]) => address }),
  });
  const anyPlan = fc
    .uniqueArray(anyService, { selector: ({ name }) => name })
    .map((services) => loopbackPlan(services));
  await fc.assert(
    fc.asyncProperty(fc.array(anyPlan, { minLength: 1, maxLength: 5 }), async (plans) => {
      const state = new ServedServices();
      const frontends = new Map<string, unknown>();
      const endpoints = new Map<string, unknown>();
      for (const plan of plans) {
        const change = await state.update(plan);
        for (const spec of change.frontends) frontends.set(spec.key, spec);
        for (const { key } of change.goneFrontends) expect(frontends.delete(key)).toBe(true);
        for (const endpoint of change.endpoints) endpoints.set(endpoint.key, endpoint);
        for (const { key } of change.goneEndpoints) expect(endpoints.delete(key)).toBe(true);
      }
      const fresh = new ServedServices();
      const last = plans.at(-1);
      if (last !== undefined) await fresh.update(last);
      expect(state.frontends()).toEqual(fresh.frontends());
      expect(new Map(state.frontends().map((spec) => [spec.key, spec]))).toEqual(frontends);
      expect(new Map(fresh.endpoints().map((endpoint) => [endpoint.key, endpoint]))).toEqual(endpoints);
    }),
  );
});
