import { describe, expect, test } from "vitest";
import { InputError } from "./errors.ts";
import type { Topology } from "./model.ts";
import { findDialled, findSender, joinEnds } from "./named-ends.ts";
import { readInput } from "./read-input.ts";
import { loadInput } from "./text/load-documents.ts";

const FILE = `
hosts:
  - name: node1
    addresses: [192.0.2.1, "2001:db8::1"]
    pods:
      - { name: web_1, addresses: ["10.0.0.2:8080", "[fd00::2]:8080"] }
      - { name: same, address: 10.0.0.3 }
      - { name: "odd:name", address: 10.0.0.4 }
services:
  - { name: web, clusterIPs: [10.96.0.1, "fd00:96::1"], ports: [{ name: http, port: 80 }, { name: dns, port: 53, protocol: UDP }], endpoints: [web_1] }
  - { name: one, clusterIP: 10.96.0.2, ports: [{ port: 7070, targetPort: 8080 }], endpoints: [web_1] }
  - { name: same, clusterIP: 10.96.0.3, ports: [{ port: 80, targetPort: 8080 }, { port: 80, protocol: UDP, targetPort: 53 }], endpoints: [web_1] }
  - { name: six, clusterIP: "fd00:96::6", ports: [{ port: 80 }], endpoints: [web_1] }
  - { name: twice, namespace: red, clusterIP: 10.96.0.4, ports: [{ port: 80 }], endpoints: [web_1] }
  - { name: twice, namespace: blue, clusterIP: 10.96.0.5, ports: [{ port: 80 }], endpoints: [web_1] }
`;

const OBJECTS = `
apiVersion: v1
kind: Service
metadata: { name: web, namespace: shop }
spec: { clusterIP: 10.96.0.10, ports: [{ name: http, port: 80 }] }
---
apiVersion: v1
kind: Service
metadata: { name: headless, namespace: shop }
spec: { clusterIP: None, ports: [{ port: 80 }] }
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: { name: web-a, namespace: shop, labels: { kubernetes.io/service-name: web } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [10.244.1.5], targetRef: { kind: Pod, name: web-0, namespace: shop } }]
`;

function read(text: string): Topology {
  return readInput(loadInput([{ file: "t.yaml", bytes: Buffer.from(text) }])).topology;
}

const file = read(FILE);
const objects = read(OBJECTS);

describe("who sends", () => {
  test.for([
    { text: "web_1", end: { called: "pod web_1", addresses: ["10.0.0.2", "fd00::2"] } },
    { text: "web_1:40000", end: { called: "pod web_1", addresses: ["10.0.0.2", "fd00::2"], port: 40000 } },
    { text: "node1", end: { called: "host node1", addresses: ["192.0.2.1", "2001:db8::1"] } },
    { text: "odd:name", end: { called: "pod odd:name", addresses: ["10.0.0.4"] } },
    { text: "odd:name:7", end: { called: "pod odd:name", addresses: ["10.0.0.4"], port: 7 } },
    // The pod: a service sends nothing.
    { text: "same", end: { called: "pod same", addresses: ["10.0.0.3"] } },
  ])("$text", ({ text, end }) => {
    expect(findSender(file, text)).toEqual(end);
  });

  test.for(["web-0", "shop/web-0"])("%s of Kubernetes objects without Nodes", (text) => {
    expect(findSender(objects, text)).toEqual({ called: "pod shop/web-0", addresses: ["10.244.1.5"] });
  });
});

describe("whom it dials", () => {
  test.for([
    { text: "web:http", end: { addresses: ["10.96.0.1", "fd00:96::1"], port: 80, protocol: "tcp" } },
    { text: "web:80", end: { port: 80, protocol: "tcp" } },
    { text: "default/web:dns", end: { port: 53, protocol: "udp" } },
    { text: "web:53", end: { port: 53, protocol: "udp" } },
    { text: "one", end: { port: 7070, protocol: "tcp" } },
    // What says no protocol is TCP.
    { text: "same:80", end: { called: "service default/same", port: 80, protocol: "tcp" } },
    { text: "same:80", protocol: "udp", end: { port: 80, protocol: "udp" } },
    { text: "web_1", end: { called: "pod web_1", port: 8080 } },
    { text: "web_1:22", end: { called: "pod web_1", port: 22 } },
    { text: "node1:30080", end: { called: "host node1", port: 30080 } },
    { text: "red/twice:80", end: { addresses: ["10.96.0.4"] } },
  ])("$text $protocol", ({ text, protocol, end }) => {
    expect(findDialled(file, text, protocol === undefined ? {} : { protocol })).toMatchObject(end);
  });

  test("a number that the service does not have is kept, for the trace to tell of", () => {
    expect(findDialled(file, "web:81")).toEqual({
      called: "service default/web",
      addresses: ["10.96.0.1", "fd00:96::1"],
      port: 81,
    });
  });

  test("a service of Kubernetes objects", () => {
    expect(findDialled(objects, "shop/web:http")).toMatchObject({ addresses: ["10.96.0.10"], port: 80 });
  });
});

function refusalOf(find: () => unknown) {
  try {
    return { found: find() };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { code: error.code, said: `${error.message}; ${error.hint}` };
  }
}

test.for([
  { end: "from", text: "web1", code: "UNKNOWN_NAME", says: ["no pod or host", 'Did you mean "web_1"?'] },
  { end: "from", text: "one", code: "UNKNOWN_NAME", says: ["a service sends none"] },
  { end: "to", text: "wbe:80", code: "UNKNOWN_NAME", says: ["no service, pod or host", 'Did you mean "web"?'] },
  { end: "to", text: "default/wbe:80", code: "UNKNOWN_NAME", says: ['Did you mean "default/web"?'] },
  { end: "to", text: "far-off:80", code: "UNKNOWN_NAME", says: ["Write a service, pod or host"] },
  { end: "to", text: "web:htp", code: "UNKNOWN_NAME", says: ['no port "htp"', 'Did you mean "http"?'] },
  { end: "to", text: "web", code: "PORT_REQUIRED", says: ["http 80/tcp, dns 53/udp"] },
  { end: "to", text: "twice:80", code: "AMBIGUOUS_NAME", says: ["red/twice, blue/twice", "with its namespace"] },
  { end: "to", text: "web:0", code: "PORT_OUT_OF_RANGE", says: ['"0" is no port'] },
  { end: "to", text: "node1:ssh", code: "PORT_OUT_OF_RANGE", says: ["only ports of services have names"] },
  { end: "from", text: "web_1:99999", code: "PORT_OUT_OF_RANGE", says: ['"99999" is no port'] },
])("$end $text: $code", ({ end, text, code, says }) => {
  const refusal = refusalOf(() => (end === "from" ? findSender(file, text) : findDialled(file, text)));
  expect(refusal).toMatchObject({ code });
  for (const words of says) expect(refusal.said).toContain(words);
});

test("a headless service cannot be dialled", () => {
  expect(refusalOf(() => findDialled(objects, "headless:80"))).toMatchObject({ code: "NO_CLUSTER_IP" });
});

test("two ends are joined in a family that both have", () => {
  const join = (from: string, to: string) => joinEnds(findSender(file, from), findDialled(file, to));
  expect(join("web_1", "web:80")).toEqual({ from: "10.0.0.2", to: "10.96.0.1", family: 4 });
  expect(join("web_1", "six:80")).toEqual({ from: "fd00::2", to: "fd00:96::6", family: 6 });
  expect(refusalOf(() => join("same", "six:80"))).toMatchObject({ code: "MIXED_FAMILIES" });
});
