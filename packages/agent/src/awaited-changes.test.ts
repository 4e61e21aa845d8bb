import type { ServicePortStatus } from "@svcproxy/host";
import { expect, test } from "vitest";
import { AwaitedChanges } from "./awaited-changes.ts";

const NOW = new Date("2026-01-01T00:00:10Z");
const WEB = { service: "default/web", family: 4, at: new Date("2026-01-01T00:00:08.500Z") } as const;
const DNS = { service: "default/dns", family: 6, at: new Date("2026-01-01T00:00:11Z") } as const;

function stands(service: string, state: ServicePortStatus["state"], family: 4 | 6 = 4): ServicePortStatus {
  return { service, portName: "", protocol: "tcp", port: 80, family, state, since: NOW };
}

test("what is in force is measured once; a clock that is ahead makes it nothing, not less", () => {
  const changes = new AwaitedChanges();
  changes.add([WEB, DNS]);
  expect(changes.settle([stands("default/web", "in-force")], NOW)).toEqual([
    { family: 4, seconds: 1.5 },
    { family: 6, seconds: 0 },
  ]);
  expect(changes.settle([], NOW)).toEqual([]);
});

test("what failed is measured once it is in force, with the time that this took", () => {
  const changes = new AwaitedChanges();
  changes.add([WEB]);
  expect(changes.settle([stands("default/web", "failed")], NOW)).toEqual([]);
  const later = new Date("2026-01-01T00:01:08.500Z");
  expect(changes.settle([stands("default/web", "in-force")], later)).toEqual([{ family: 4, seconds: 60 }]);
});

test("the other family of a service that failed is measured; what cannot be carried out never is", () => {
  const changes = new AwaitedChanges();
  changes.add([WEB, { ...WEB, family: 6 }]);
  expect(changes.settle([stands("default/web", "refused")], NOW)).toEqual([{ family: 6, seconds: 1.5 }]);
  expect(changes.settle([stands("default/web", "in-force")], NOW)).toEqual([]);
});

test("a machine that refuses for long makes it remember no more than it can hold", () => {
  const changes = new AwaitedChanges();
  for (let round = 0; round < 3; round++) changes.add(Array.from({ length: 9_000 }, () => WEB));
  expect(changes.settle([], NOW)).toHaveLength(10_000);
});
