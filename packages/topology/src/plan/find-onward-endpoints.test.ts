import { describe, expect, test } from "vitest";
import { formatSocketAddress } from "../address.ts";
import { parseTopology } from "../file/parse-topology.ts";
import type { Topology } from "../model.ts";
import { planHost } from "./plan-host.ts";
import { planProblems, topologyProblems } from "./plan-problems.ts";

function read(text: string): Topology {
  return parseTopology(Buffer.from(text), { file: "t.yaml" }).topology;
}

const HOSTS = `
hosts:
  - { name: one, addresses: [10.77.0.1, "fd77::1"] }
  - { name: two, addresses: [10.77.0.2, "fd77::2"] }
`;

/** Services a, b, c at 10.96.0.1, .2, .3, port 80 and NodePorts 30001, …, with these endpoints. */
function withEndpoints(endpoints: Readonly<Record<string, readonly string[]>>): Topology {
  const services = Object.entries(endpoints).map(([name, list]) => {
    const number = name.charCodeAt(0) - 96;
    const at = list.map((text) =>
      JSON.stringify(/^[a-z]$/.test(text) ? `10.96.0.${text.charCodeAt(0) - 96}:80` : text),
    );
    const ports = `ports: [{ port: 80, nodePort: ${30000 + number} }]`;
    return `  - { name: ${name}, clusterIP: 10.96.0.${number}, ${ports}, endpoints: [${at.join(", ")}] }`;
  });
  return read(`${HOSTS}services:\n${services.join("\n")}\n`);
}

/** What each service is left with, on a host: endpoints, or how a client is turned away. */
function left(topology: Topology, host: string) {
  return Object.fromEntries(
    planHost(topology, { host }).ports.map(({ service, frontends }) => {
      const outside = frontends[0]?.clients.outside;
      return [service.name, outside?.kind === "forward" ? outside.endpoints.map(formatSocketAddress) : outside?.kind];
    }),
  );
}

const POD = "10.5.0.2:80";

test.for([
  { name: "endpoints elsewhere stay", endpoints: { a: [POD, "10.77.0.1:80"] }, expected: { a: [POD, "10.77.0.1:80"] } },
  { name: "a frontend that is its own endpoint is refused", endpoints: { a: ["a"] }, expected: { a: "refuse" } },
  { name: "its other endpoints stay", endpoints: { a: ["a", POD] }, expected: { a: [POD] } },
  {
    name: "a chain that ends is kept",
    endpoints: { a: ["b"], b: ["c"], c: [POD] },
    expected: { a: ["10.96.0.2:80"], b: ["10.96.0.3:80"], c: [POD] },
  },
  {
    name: "a round of three is cut",
    endpoints: { a: ["b"], b: ["c"], c: ["a", POD] },
    expected: { a: "refuse", b: "refuse", c: [POD] },
  },
  {
    name: "two rounds that share a service are cut",
    endpoints: { a: ["b", "c"], b: ["a"], c: ["a", POD] },
    expected: { a: "refuse", b: "refuse", c: [POD] },
  },
  {
    name: "what only leads into a round stays",
    endpoints: { a: ["b"], b: ["b"] },
    expected: { a: ["10.96.0.2:80"], b: "refuse" },
  },
  {
    name: "NodePorts of every host are frontends",
    endpoints: { a: ["10.77.0.1:30001", "10.77.0.2:30001", POD] },
    expected: { a: [POD] },
  },
  {
    name: "a round through another host's NodePort is cut",
    endpoints: { a: ["10.77.0.2:30002"], b: ["10.77.0.1:30001"] },
    expected: { a: "refuse", b: "refuse" },
  },
])("$name", ({ endpoints, expected }) => {
  const topology = withEndpoints(endpoints);
  expect(left(topology, "one")).toEqual(expected);
  expect(left(topology, "two"), "on every host alike").toEqual(expected);
});

describe("endpoints that are both hosts' own NodePorts circled a datagram between them for ever", () => {
  const topology = read(`
hosts: [{ name: node1, address: 10.77.0.1, podCIDR: 10.78.0.0/24 }, { name: node2, address: 10.77.0.2, podCIDR: 10.79.0.0/24 }]
services:
  - { name: web, clusterIP: 10.96.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["10.77.0.1:30080", "10.77.0.2:30080"] }
  - { name: udp, clusterIP: 10.96.0.2, ports: [{ port: 53, nodePort: 30053, protocol: UDP }], endpoints: ["10.77.0.1:30053", "10.77.0.2:30053"] }
`);

  test.for(["node1", "node2"])("every client is refused at once on %s", (host) => {
    const plan = planHost(topology, { host });
    const handlings = plan.ports.flatMap(({ frontends }) => frontends.flatMap(({ clients }) => Object.values(clients)));
    expect(new Set(handlings.map(({ kind }) => kind))).toEqual(new Set(["refuse"]));
    expect(planProblems(plan).map(({ code, subject }) => `${code} ${subject}`)).toEqual([
      "ENDPOINT_LOOP service default/web",
      "ENDPOINT_LOOP service default/udp",
    ]);
  });
});

test("only usable endpoints make a round, of their protocol", () => {
  const ready = read(`
hosts:
  - { name: one, address: 10.77.0.1, pods: [{ name: p, address: 10.77.0.1, ready: false }] }
services:
  - name: web
    clusterIP: 10.96.0.1
    ports: [{ port: 80, nodePort: 30080, targetPort: 30080 }, { name: dns, protocol: UDP, port: 53, targetPort: 30080 }]
    endpoints: [p, "10.77.0.1"]
`);
  const [web, dns] = planHost(ready, { host: "one" }).ports;
  expect(web?.onward).toEqual([]);
  expect(dns?.onward).toEqual([]);
});

describe("a machine's own addresses", () => {
  test("that the topology does not list make rounds too", () => {
    const topology = withEndpoints({ a: ["10.9.9.9:30001", POD] });
    const [address] = read("hosts: [{ name: x, address: 10.9.9.9 }]").hosts.flatMap(({ addresses }) => addresses);
    if (address === undefined) throw new TypeError("no address");
    expect(planHost(topology, { host: "one" }).ports[0]?.clusterEndpoints).toHaveLength(2);
    const plan = planHost(topology, { host: "one", machineAddresses: [address] });
    expect(plan.ports[0]?.clusterEndpoints.map(formatSocketAddress)).toEqual([POD]);
  });
});

test("10,000 services that lead to one another are looked through in time, however long the round", () => {
  const services = Array.from({ length: 10_000 }, (_, index) => {
    const at = (place: number) => `10.96.${Math.floor(place / 250)}.${(place % 250) + 1}`;
    return {
      name: `s${index}`,
      clusterIP: at(index),
      ports: [{ port: 80 }],
      endpoints: [`${at((index + 1) % 10_000)}:80`],
    };
  });
  const topology = read(JSON.stringify({ hosts: [{ name: "one", address: "10.77.0.1" }], services }));
  const { ports } = planHost(topology, { host: "one" });
  expect(ports.every(({ hasEndpoints }) => !hasEndpoints)).toBe(true);
});

describe("people are told, once a service", () => {
  const topology = withEndpoints({ a: ["a", "10.77.0.2:30001", "b", POD], b: [POD] });

  test("what is left out and what leads through another service", () => {
    expect(planProblems(planHost(topology, { host: "one" }))).toEqual([
      {
        code: "ENDPOINT_LOOP",
        severity: "warning",
        subject: "service default/a",
        text: "Endpoints of default/a lead back to it, and are left out: 10.96.0.1:80 (ClusterIP of default/a), 10.77.0.2:30001 (NodePort of default/a)",
        hint: expect.any(String),
      },
      {
        code: "ENDPOINT_CHAIN",
        severity: "warning",
        subject: "service default/a",
        text: "Endpoints of default/a are reached through another service: 10.96.0.2:80 (ClusterIP of default/b)",
        hint: expect.any(String),
      },
    ]);
  });

  test("without a host too", () => {
    expect(topologyProblems(topology)).toEqual(planProblems(planHost(topology, { host: "two" })));
  });
});
