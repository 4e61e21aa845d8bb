import { FEATURES, readFlowFile } from "@svcproxy/host/testing";
import { parseTopology, planHost } from "@svcproxy/topology";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compileTable } from "./compile-table.ts";
import { formatTable } from "./table/format-table.ts";
import { parseTable } from "./table/parse-table.ts";

/** What nft keeps of a comment. */
const MAX_COMMENT_BYTES = 127;

test.for([4, 6] as const)(
  "every map and set of IPv%i says what it is, and every chain but the evident ones",
  (family) => {
    const { table } = compileTable(planHost(readFlowFile(FEATURES), { host: "edge" }), { family, countsTraffic: true });
    for (const { name, comment } of [...table.collections, ...table.chains.filter(({ hook }) => hook !== undefined)]) {
      expect(comment?.length ?? 0, name).toBeGreaterThan(10);
      expect(Buffer.byteLength(comment ?? ""), name).toBeLessThanOrEqual(MAX_COMMENT_BYTES);
      expect(comment, name).not.toMatch(/["\n]/);
    }
  },
);

describe("names from a file", () => {
  const TEXT = `
hosts: [{ name: one, address: 192.168.1.6, pods: [{ name: a, address: "10.5.0.2:80" }] }]
services: [{ name: web, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: [a] }]`;
  const plan = planHost(parseTopology(Buffer.from(TEXT), { file: "t" }).topology, { host: "one" });
  const named = (namespace: string, name: string, portName: string) => ({
    ...plan,
    ports: plan.ports.map((port) => ({
      ...port,
      service: { ...port.service, namespace, name },
      port: { ...port.port, name: portName },
    })),
  });

  test.for([
    'a" : 2:0 }\n}\ndelete table ip svcproxy\n',
    "$(touch /tmp/owned)",
    "a, b : c # d",
    "größe→★\u0000\u202e",
    "x".repeat(300),
  ])("bring nothing along into the table: %j", (name) => {
    const { table } = compileTable(named(name, name, name), { family: 4 });
    const text = [...formatTable(table)].join("");
    expect(text.split("\n").filter((line) => line.includes("10.100.0.1 ."))).toEqual([
      expect.stringMatching(/^\t\t\t10\.100\.0\.1 \. tcp \. 80 comment "[A-Za-z0-9 ._/?-]{1,120}" : 1:1$/),
    ]);
    expect(parseTable(text, 4)).toEqual(table);
  });

  test("whatever they are, what is printed is read back", () => {
    const anyName = fc.string({ minLength: 1, maxLength: 80, unit: "binary" });
    fc.assert(
      fc.property(anyName, anyName, anyName, (namespace, name, portName) => {
        const { table } = compileTable(named(namespace, name, portName), { family: 4 });
        expect(parseTable([...formatTable(table)].join(""), 4)).toEqual(table);
      }),
    );
  });
});

test("pods are told by the interface's name word for word, or by how it begins", () => {
  const rules = (detectLocal: string) => {
    const text = `
hosts: [{ name: one, address: 192.168.1.6, pods: [{ name: a, address: "10.5.0.2:80" }] }]
services: [{ name: web, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: [a] }]
node: { ${detectLocal} }`;
    const plan = planHost(parseTopology(Buffer.from(text), { file: "t" }).topology, { host: "one" });
    return compileTable(plan, { family: 4 }).table.chains.find(({ name }) => name === "internal")?.rules[1];
  };
  const bridge = (name: string) => `detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: '${name}' }`;
  expect(rules(bridge("cni0"))).toBe('iifname != "cni0" jump mark-masquerade');
  expect(rules(bridge("cni*"))).toBe('iifname != "cni\\*" jump mark-masquerade');
  expect(rules("detectLocalMode: InterfaceNamePrefix, detectLocal: { interfaceNamePrefix: veth }")).toBe(
    'iifname != "veth*" jump mark-masquerade',
  );
  expect(() => rules(bridge('c"'))).toThrow(/nftables rules have no way to name it/);
});
