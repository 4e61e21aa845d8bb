import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { formatSocketAddress } from "../address.ts";
import { InputError } from "../errors.ts";
import { planHost } from "../plan/plan-host.ts";
import { readInput } from "../read-input.ts";
import { loadInput } from "../text/load-documents.ts";

function read(name: string) {
  const bytes = readFileSync(new URL(`../../golden/kubernetes/${name}`, import.meta.url));
  return readInput(loadInput([{ file: name, bytes }]));
}

/** Where a pod's connection to the first ClusterIP goes on a host. */
function servedOn(name: string, host: string) {
  const { topology } = read(name);
  const handling = planHost(topology, { host }).ports[0]?.frontends[0]?.clients.pod;
  return handling?.kind === "forward" ? handling.endpoints.map(formatSocketAddress) : handling?.kind;
}

describe("what kubectl reads is read alike", () => {
  test.for([
    { name: "two-byte-order-marks.yaml", why: "files that were joined" },
    { name: "utf-16.yaml", why: "what PowerShell's > writes" },
    { name: "json-after-json.json", why: "two kubectl in one pipe" },
    { name: "v1beta1-slices.yaml", why: "slices of clusters before 1.25" },
  ])("$name: $why", ({ name }) => {
    expect(servedOn(name, "n1")).toEqual(["10.244.1.5:8080"]);
    expect(read(name).topology.services[0]?.ports[0]?.endpoints[0]?.host).toBe("n1");
  });

  test("JSON lines are objects of their own, and a fault stands in its line", () => {
    const line = (port: number) =>
      JSON.stringify({
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: `s${port}` },
        spec: { clusterIP: "10.96.0.1", ports: [{ port }] },
      });
    const load = (text: string) => readInput(loadInput([{ file: "lines.json", bytes: Buffer.from(text) }]));
    expect(load(`${line(80)}\n${line(81)}\n`).topology.services.map(({ name }) => name)).toEqual(["s80", "s81"]);
    expect(() => load(`${line(80)}\n  ${line(0)}\n`)).toThrow(
      expect.objectContaining({
        faults: expect.arrayContaining([expect.objectContaining({ at: { file: "lines.json", line: 2, column: 113 } })]),
      }),
    );
  });
});

test.for([
  {
    name: "octal-port.yaml",
    code: "WRONG_TYPE",
    hint: "Write the number that is meant: 80 (octal, as kubectl reads it) or 120",
  },
  { name: "underscore-port.yaml", code: "BAD_NAME", hint: expect.any(String) },
  { name: "ready-yes.yaml", code: "WRONG_TYPE", hint: undefined },
])("$name, which YAML's versions read differently, is a fault", ({ name, code, hint }) => {
  try {
    read(name);
    expect.unreachable();
  } catch (error) {
    const faults = error instanceof InputError ? error.faults.filter(({ severity }) => severity === "error") : [];
    expect(faults.map((fault) => [fault.code, fault.hint])).toContainEqual([code, hint]);
  }
});

test.for(["same-address-dead-first.yaml", "same-address-two-slices.yaml"])(
  "of two endpoints with one address the usable one counts, on the node that runs it: %s",
  (name) => {
    const { topology } = read(name);
    expect(topology.services[0]?.ports[0]?.endpoints).toMatchObject([
      { address: "10.244.1.5", ready: true, host: "n1" },
    ]);
    expect(servedOn(name, "n2")).toEqual(["10.244.1.5:8080"]);
  },
);

test("ServiceCIDR objects say where ClusterIPs come from, and an address of something else in them is named", () => {
  const text = `
{ apiVersion: networking.k8s.io/v1, kind: ServiceCIDR, metadata: { name: kubernetes }, spec: { cidrs: [10.96.0.0/12, "fd00:96::/108"] } }
---
{ apiVersion: networking.k8s.io/v1beta1, kind: ServiceCIDR, metadata: { name: wide }, spec: { cidrs: [192.0.0.0/16] } }
---
{ apiVersion: v1, kind: Node, metadata: { name: n1 }, status: { addresses: [{ type: InternalIP, address: 192.0.2.11 }] } }
`;
  const { topology, warnings } = readInput(loadInput([{ file: "f.yaml", bytes: Buffer.from(text) }]));
  expect(topology.node.serviceCIDRs).toEqual([
    { address: "10.96.0.0", prefixLength: 12 },
    { address: "fd00:96::", prefixLength: 108 },
    { address: "192.0.0.0", prefixLength: 16 },
  ]);
  expect(warnings.map(({ code, message }) => [code, message])).toEqual([
    [
      "SERVICE_CIDR_TOO_WIDE",
      'ServiceCIDR "wide": spec.cidrs[0]: 192.0.0.0/16 holds 192.0.2.11, the address of node n1',
    ],
  ]);
});
