import { expect, test } from "vitest";
import { ChangeTriggers } from "./change-triggers.ts";

const START = new Date("2026-01-01T00:00:00Z");

function slice(note: string | undefined, more: object = {}) {
  const annotations = note === undefined ? {} : { "endpoints.kubernetes.io/last-change-trigger-time": note };
  const labels = { "kubernetes.io/service-name": "web" };
  return { metadata: { namespace: "default", labels, annotations }, addressType: "IPv6", ...more };
}

test("a change is told once, with its service and its family", () => {
  const triggers = new ChangeTriggers(START);
  triggers.set("default/web-1", slice("2026-01-01T00:00:05.123456789Z"));
  triggers.set("default/web-1", slice("2026-01-01T00:00:05.123456789Z"));
  expect(triggers.take("everything")).toEqual([
    { service: "default/web", family: 6, at: new Date("2026-01-01T00:00:05.123Z") },
  ]);
  expect(triggers.take("everything")).toEqual([]);
  triggers.set("default/web-1", slice("2026-01-01T00:00:06Z"));
  triggers.set("default/web-1", slice("2026-01-01T00:00:07Z"));
  expect(triggers.take("everything")).toHaveLength(2);
});

test.for([
  { name: "from before the start", object: slice("2025-12-31T23:59:59Z") },
  { name: "without a note", object: slice(undefined) },
  { name: "with a note that is no time", object: slice("soon") },
  { name: "of names instead of addresses", object: slice("2026-01-01T00:00:05Z", { addressType: "FQDN" }) },
  { name: "of no service", object: slice("2026-01-01T00:00:05Z", { metadata: { namespace: "default" } }) },
])("a change $name is not measured", ({ object }) => {
  const triggers = new ChangeTriggers(START);
  triggers.set("default/web-1", object);
  expect(triggers.take("everything")).toEqual([]);
});

test("what a slice that is gone had to tell is not measured", () => {
  const triggers = new ChangeTriggers(START);
  triggers.set("default/web-1", slice("2026-01-01T00:00:05Z"));
  triggers.remove("default/web-1");
  expect(triggers.take("everything")).toEqual([]);
});

test("a note that changed nothing is measured with the change that has it too", () => {
  const triggers = new ChangeTriggers(START);
  triggers.set("default/web-1", slice("2026-01-01T00:00:05Z"));
  expect(triggers.take(new Set(["default/other"]))).toEqual([]);
  triggers.set("default/web-1", slice("2026-01-01T00:00:05Z"));
  expect(triggers.take(new Set(["default/web"]))).toHaveLength(1);
});
