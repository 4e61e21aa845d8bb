import { expect, test } from "vitest";
import { keyOf, stripped } from "./api-object.ts";

test("an object is kept without notes and who wrote what", () => {
  const metadata = { name: "web", namespace: "default", labels: { app: "web" } };
  const object = { metadata: { ...metadata, annotations: { note: "long" }, managedFields: [{}] }, spec: {} };
  expect(stripped(object)).toEqual({ metadata, spec: {} });
  expect([keyOf(object), keyOf({ metadata: { name: "node" } })]).toEqual(["default/web", "node"]);
});
