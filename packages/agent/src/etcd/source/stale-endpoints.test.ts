import type { RegisteredEndpoint } from "@svcproxy/topology";
import { parseIpAddress, parsePort } from "@svcproxy/topology";
import { expect, test } from "vitest";
import { LOSS_WINDOW_MS, RETURN_GRACE_MS, StaleEndpoints } from "./stale-endpoints.ts";

test("a few that vanish go at once", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(20), 0);
  expect(stale.update(all(11), 1_000)).toHaveLength(11);
  expect(stale.problems(1_000)).toEqual([]);
});

test("many that vanish one after the other are kept, those that went first too, until they return", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(20), 0);
  for (let left = 19; left >= 0; left--) stale.update(all(left), 20_000 - left * 1_000);
  expect(stale.update(all(0), 20_000)).toHaveLength(20);
  expect(stale.count(20_000)).toBe(20);
  expect(stale.problems(20_000)).toMatchObject([{ code: "ENDPOINTS_STALE", subject: "service default/web" }]);
  expect(stale.update(all(5), 10 * LOSS_WINDOW_MS)).toHaveLength(20);
  expect(stale.count(10 * LOSS_WINDOW_MS)).toBe(15);
  expect(stale.update(all(20), 11 * LOSS_WINDOW_MS)).toHaveLength(20);
  expect(stale.count(11 * LOSS_WINDOW_MS)).toBe(0);
});

test("many that vanish slowly are no loss at once", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(30), 0);
  for (let left = 29; left >= 0; left--) stale.update(all(left), (30 - left) * LOSS_WINDOW_MS * 0.5);
  expect(stale.count(20 * LOSS_WINDOW_MS)).toBe(0);
});

test("what is kept goes once that is confirmed", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(20), 0);
  stale.update(all(0), 1_000);
  expect(stale.confirm(2_000)).toHaveLength(20);
  expect(stale.update(all(0), 2_000)).toEqual([]);
  expect(stale.confirm(3_000)).toEqual([]);
});

test("who said before that it is not ready, or is known to have left, goes at once, however many", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(20), 0);
  const out = new Map([...all(20)].map(([path, endpoint]) => [path, { ...endpoint, ready: false }]));
  stale.update(out, 1_000);
  expect(stale.update(all(0), 1_100)).toEqual([]);
  stale.update(all(20), 2_000);
  expect(stale.update(all(0), 2_100, new Set(all(20).keys()))).toEqual([]);
});

test("right after etcd was out of reach even one is kept for a while", () => {
  const stale = new StaleEndpoints({ least: 10 });
  stale.update(all(3), 0);
  stale.regained(1_000);
  expect(stale.update(all(2), 1_000)).toHaveLength(3);
  expect(stale.nextAt(1_000)).toBe(1_000 + RETURN_GRACE_MS);
  expect(stale.update(all(2), 1_000 + RETURN_GRACE_MS)).toHaveLength(2);
  expect(stale.nextAt(1_000 + RETURN_GRACE_MS)).toBeUndefined();
});

test("without a guard nothing is kept", () => {
  const stale = new StaleEndpoints({ least: 0 });
  stale.update(all(100), 0);
  stale.regained(0);
  expect(stale.update(all(0), 1_000)).toEqual([]);
});

function all(count: number): ReadonlyMap<string, RegisteredEndpoint> {
  return new Map(Array.from({ length: count }, (_, index) => [`endpoints/default/web/${index}`, endpointOf(index)]));
}

function endpointOf(index: number): RegisteredEndpoint {
  const [address, port] = [parseIpAddress(`10.1.0.${index + 1}`), parsePort(80)];
  if (address === undefined || port === undefined) throw new Error("no address");
  const state = { ready: true, serving: true, terminating: false };
  return {
    namespace: "default",
    service: "web",
    id: String(index),
    address,
    port,
    ...state,
    hints: { zones: [], nodes: [] },
  };
}
