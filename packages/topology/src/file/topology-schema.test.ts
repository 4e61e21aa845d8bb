import fc from "fast-check";
import { expect, test } from "vitest";
import * as z from "zod/mini";
import { FaultReport } from "../text/fault-report.ts";
import { checkShape, topologySchema } from "./check-shape.ts";
import { renderTopologySchema, topologyFile } from "./topology-file.ts";

test("topology.schema.json is what the zod source says (else: pnpm schema)", () => {
  expect(topologySchema).toEqual(JSON.parse(renderTopologySchema()));
});

test.for([
  ["Address", "10.0.0.1", true],
  ["Address", "fd00::1", true],
  ["Address", "10.100.100.1.7070", false],
  ["Address", "web.example.org", false],
  ["ClusterIP", "None", true],
  ["ClusterIP", "10.0.0.1:80", false],
  ["CIDR", "10.0.0.0/8", true],
  ["CIDR", "fd00::/64", true],
  ["CIDR", "10.0.0.0", false],
  ["PodAddress", "10.0.0.1", true],
  ["PodAddress", "10.0.0.1:80", true],
  ["PodAddress", "[fd00::1]:80", true],
  ["PodAddress", "10.0.0.1.80", false],
] as const)("an editor takes %s %s: %s", ([name, text, isTaken]) => {
  expect(new RegExp(topologySchema.$defs?.[name]?.pattern ?? "").test(text)).toBe(isTaken);
});

function shapeFaults(value: unknown) {
  const report = new FaultReport();
  const source = { file: "t.json", text: JSON.stringify(value) };
  checkShape(topologySchema, { document: { source, index: 0, value }, report });
  return report.faults;
}

test("checkShape takes what zod takes, and nothing else", () => {
  const word = fc.constantFrom("name", "None", "TCP", "Local", "v1", "", "10.0.0.1");
  const value = fc.oneof(
    word,
    fc.integer({ min: 1, max: 30 }),
    fc.boolean(),
    fc.constant(null),
    fc.array(word, { maxLength: 2 }),
  );
  const good = {
    hosts: [{ name: "h", address: "10.0.0.1", pods: [{ name: "p", hints: { forZones: ["z", { name: "z" }] } }] }],
    services: [{ name: "s", clusterIP: "10.1.0.1", ports: [{ port: 80, protocol: "UDP" }], proxyProtocol: "v1" }],
    node: { detectLocalMode: "NodeCIDR", masqueradeBit: 3, nodePortAddresses: ["primary"] },
  };
  const paths = [
    ["hosts"],
    ["hosts", 0],
    ["hosts", 0, "name"],
    ["hosts", 0, "colour"],
    ["hosts", 0, "pods", 0, "hints", "forZones", 1],
    ["hosts", 0, "pods", 0, "hints", "forZones", 1, "name"],
    ["services"],
    ["services", 0, "ports", 0, "port"],
    ["services", 0, "ports", 0, "protocol"],
    ["services", 0, "proxyProtocol"],
    ["services", 0, "sessionAffinity"],
    ["node", "detectLocalMode"],
    ["node", "masqueradeAll"],
    ["node", "nodePortAddresses", 0],
  ] as const;
  const change = fc.record({ path: fc.constantFrom(...paths), value: fc.option(value, { nil: undefined }) });
  fc.assert(
    fc.property(fc.array(change, { maxLength: 3 }), (changes) => {
      const changed: unknown = structuredClone(good);
      for (const { path, value: put } of changes) setAt(changed, path, put);
      const plain: unknown = JSON.parse(JSON.stringify(changed));
      expect(shapeFaults(plain).length === 0).toBe(z.safeParse(topologyFile, plain).success);
    }),
    { numRuns: 1000 },
  );
});

/** Changes one member, where the way to it is still there. */
function setAt(root: unknown, path: readonly (string | number)[], value: unknown): void {
  let parent: unknown = root;
  for (const step of path.slice(0, -1)) parent = isObject(parent) ? parent[step] : undefined;
  const last = path.at(-1);
  if (isObject(parent) && last !== undefined) parent[last] = value;
}

function isObject(value: unknown): value is Record<string | number, unknown> {
  return typeof value === "object" && value !== null;
}
