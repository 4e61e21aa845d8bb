import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatCidr } from "../address.ts";
import { InputError } from "../errors.ts";
import { parseTopology } from "../file/parse-topology.ts";
import type { ClientKind, Frontend, FrontendKind, Handling, HostPlan } from "./host-plan.ts";
import { planHost } from "./plan-host.ts";

function read(text: string) {
  return parseTopology(new TextEncoder().encode(text), { file: "t.yaml" }).topology;
}

/** The host h1 (zone east, one local pod "here") and h2 with the pod "there". */
function topology({
  here = "",
  there = "",
  service = "",
  endpoints = "[here, there]",
  node = "",
  host = "podCIDR: 10.1.0.0/24",
}: Partial<Record<"here" | "there" | "service" | "endpoints" | "node" | "host", string>>) {
  return read(`
hosts:
  - name: h1
    address: 192.168.0.1
    ${host}
    zone: east
    pods: [{ name: here, address: "10.1.0.2:80"${here} }]
  - name: h2
    address: 192.168.0.2
    podCIDR: 10.2.0.0/24
    pods: [{ name: there, address: "10.2.0.2:80"${there} }]
services:
  - name: web
    clusterIP: 10.100.0.1
    externalIPs: [203.0.113.1]
    loadBalancerIPs: [203.0.113.2]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: ${endpoints}
${service}
${node}
`);
}

/** `here+there masq`, `here`, `refuse`, `drop`: what one kind of client gets. */
function shown(handling: Handling): string {
  if (handling.kind !== "forward") return handling.kind;
  const pods = handling.endpoints.map(({ pod, address }) => pod ?? address).join("+");
  return handling.masquerade === "hairpin" ? pods : `${pods} ${handling.masquerade}`;
}

function frontendOf({ ports }: HostPlan, kind: FrontendKind): Frontend {
  const frontend = ports[0]?.frontends.find((candidate) => candidate.kind === kind);
  if (frontend === undefined) throw new Error(`no ${kind}`);
  return frontend;
}

const CLIENTS: readonly ClientKind[] = ["pod", "host", "outside"];
const EXTERNAL: readonly FrontendKind[] = ["externalIP", "loadBalancerIP", "nodePort"];

function gets(plan: HostPlan, kind: FrontendKind): readonly string[] {
  const { clients } = frontendOf(plan, kind);
  return CLIENTS.map((client) => shown(clients[client]));
}

const LOCAL_ONLY = "    internalTrafficPolicy: Local\n    externalTrafficPolicy: Local";
const NOT_READY = ", ready: false, serving: false";
const DRAINING = ", ready: false, serving: true, terminating: true";

/** What a pod, the host itself and anyone else get: from a ClusterIP, and from every address that leads in from outside. */
const CASES: readonly {
  name: string;
  given: Parameters<typeof topology>[0];
  internal: readonly [pod: string, host: string, outside: string];
  external: readonly [pod: string, host: string, outside: string];
}[] = [
  {
    name: "policy Cluster: everyone gets every endpoint, and who is not a pod, or came in from outside, is masqueraded",
    given: {},
    internal: ["here+there", "here+there host", "here+there not-a-pod"],
    external: ["here+there external", "here+there external", "here+there external"],
  },
  {
    name: "policy Local inside: only what runs here",
    given: { service: "    internalTrafficPolicy: Local" },
    internal: ["here", "here host", "here not-a-pod"],
    external: ["here+there external", "here+there external", "here+there external"],
  },
  {
    name: "policy Local outside: clients from outside keep their address; pods and the host are not sent away",
    given: { service: "    externalTrafficPolicy: Local" },
    internal: ["here+there", "here+there host", "here+there not-a-pod"],
    external: ["here+there", "here+there host", "here"],
  },
  {
    name: "policy Local with endpoints elsewhere only: silence, but for whom it counts as Cluster",
    given: { service: LOCAL_ONLY, endpoints: "[there]" },
    internal: ["drop", "drop", "drop"],
    external: ["there", "there host", "drop"],
  },
  {
    name: "no endpoint at all: refused, whatever the policy",
    given: { service: LOCAL_ONLY, endpoints: "[]" },
    internal: ["refuse", "refuse", "refuse"],
    external: ["refuse", "refuse", "refuse"],
  },
  {
    name: "endpoints that are not ready and not terminating do not count",
    given: { here: NOT_READY, there: ", ready: false" },
    internal: ["refuse", "refuse", "refuse"],
    external: ["refuse", "refuse", "refuse"],
  },
  {
    name: "while one is ready, terminating ones are passed over",
    given: { here: DRAINING },
    internal: ["there", "there host", "there not-a-pod"],
    external: ["there external", "there external", "there external"],
  },
  {
    name: "where all are terminating, those that still serve do",
    given: { here: DRAINING, there: DRAINING },
    internal: ["here+there", "here+there host", "here+there not-a-pod"],
    external: ["here+there external", "here+there external", "here+there external"],
  },
  {
    name: "the local fallback to terminating ones does not look at ready ones elsewhere",
    given: { here: DRAINING, service: LOCAL_ONLY },
    internal: ["here", "here host", "here not-a-pod"],
    external: ["there", "there host", "here"],
  },
  {
    name: "a terminating one that serves nobody any more does not count",
    given: { here: ", ready: false, serving: false, terminating: true", endpoints: "[here]" },
    internal: ["refuse", "refuse", "refuse"],
    external: ["refuse", "refuse", "refuse"],
  },
  {
    name: "zone hints: only what is meant for this zone",
    given: { here: ", hints: { forZones: [{ name: west }] }", there: ", hints: { forZones: [{ name: east }] }" },
    internal: ["there", "there host", "there not-a-pod"],
    external: ["there external", "there external", "there external"],
  },
  {
    name: "zone hints that one endpoint lacks do not count",
    given: { here: ", hints: { forZones: [{ name: west }] }" },
    internal: ["here+there", "here+there host", "here+there not-a-pod"],
    external: ["here+there external", "here+there external", "here+there external"],
  },
  {
    name: "zone hints none of which names this zone do not count",
    given: { here: ", hints: { forZones: [west] }", there: ", hints: { forZones: [north] }" },
    internal: ["here+there", "here+there host", "here+there not-a-pod"],
    external: ["here+there external", "here+there external", "here+there external"],
  },
  {
    name: "node hints come before zone hints",
    given: {
      here: ", hints: { forNodes: [h2], forZones: [east] }",
      there: ", hints: { forNodes: [h1], forZones: [west] }",
    },
    internal: ["there", "there host", "there not-a-pod"],
    external: ["there external", "there external", "there external"],
  },
  {
    name: "hints do not concern policy Local",
    given: { here: ", hints: { forZones: [west] }", there: ", hints: { forZones: [east] }", service: LOCAL_ONLY },
    internal: ["here", "here host", "here not-a-pod"],
    external: ["there", "there host", "here"],
  },
  {
    name: "masqueradeAll: all that goes to a ClusterIP, and no more",
    given: { node: "node: { masqueradeAll: true }", service: "    externalTrafficPolicy: Local" },
    internal: ["here+there masquerade-all", "here+there masquerade-all", "here+there masquerade-all"],
    external: ["here+there", "here+there host", "here"],
  },
  {
    name: "without a way to tell pods, nobody is masqueraded on a ClusterIP, and policy Local sends pods away too",
    given: { host: "", service: "    externalTrafficPolicy: Local" },
    internal: ["here+there", "here+there", "here+there"],
    external: ["here", "here+there host", "here"],
  },
];

describe("what a client gets", () => {
  test.for(CASES)("$name", ({ given, internal, external }) => {
    const plan = planHost(topology(given), { host: "h1" });
    expect(gets(plan, "clusterIP")).toEqual(internal);
    for (const kind of EXTERNAL) expect([kind, ...gets(plan, kind)]).toEqual([kind, ...external]);
  });
});

describe("NodePorts", () => {
  const nodePort = (node: string, host = "podCIDR: 10.1.0.0/24\n    addresses: [192.168.0.1, 10.9.0.1]") => {
    const given = topology({ node, host: host.includes("addresses") ? "podCIDR: 10.1.0.0/24" : host });
    const [first, ...others] = given.hosts;
    if (first === undefined) throw new Error("no host");
    const second = read("hosts: [{ name: x, addresses: [192.168.0.1, 10.9.0.1] }]").hosts[0]?.addresses ?? [];
    const plan = planHost({ ...given, hosts: [{ ...first, addresses: second }, ...others] }, { host: "h1" });
    const { addresses, everyHostAddress } = frontendOf(plan, "nodePort");
    return { addresses, everyHostAddress };
  };

  test.for([
    ["are served on every address of the host", "", ["192.168.0.1", "10.9.0.1"], true],
    [
      "on loopback only where asked for",
      "node: { localhostNodePorts: true }",
      ["192.168.0.1", "10.9.0.1", "127.0.0.1"],
      true,
    ],
    ["only in the blocks of nodePortAddresses", "node: { nodePortAddresses: [10.0.0.0/8] }", ["10.9.0.1"], false],
    ["nowhere where no address lies in them", "node: { nodePortAddresses: [172.16.0.0/12] }", [], false],
    [
      "everywhere by the block of everything",
      "node: { nodePortAddresses: [0.0.0.0/0] }",
      ["192.168.0.1", "10.9.0.1"],
      true,
    ],
    [
      "everywhere where the blocks are of the other family",
      'node: { nodePortAddresses: ["fd00::/8"] }',
      ["192.168.0.1", "10.9.0.1"],
      true,
    ],
    ["on the main address alone by `primary`", "node: { nodePortAddresses: [primary] }", ["192.168.0.1"], false],
    [
      "not on loopback where nodePortAddresses leave it out",
      "node: { localhostNodePorts: true, nodePortAddresses: [10.0.0.0/8] }",
      ["10.9.0.1"],
      false,
    ],
    [
      "on loopback where nodePortAddresses have it",
      "node: { localhostNodePorts: true, nodePortAddresses: [127.0.0.0/8, 10.0.0.0/8] }",
      ["10.9.0.1", "127.0.0.1"],
      false,
    ],
    [
      "not on 127.0.0.1 by a block alone",
      "node: { nodePortAddresses: [127.0.0.0/8, 10.0.0.0/8] }",
      ["10.9.0.1"],
      false,
    ],
  ] as const)("%s", ([, node, addresses, everyHostAddress]) => {
    expect(nodePort(node)).toEqual({ addresses, everyHostAddress });
  });

  test.for([
    ["10.0.0.0/8", ["10.9.0.1"], false],
    ["96.0.0.0/3", [], false],
    ["128.0.0.0/1", ["192.168.0.1"], false],
    ["fd00::/8", ["192.168.0.1", "10.9.0.1"], true],
    ["primary", ["192.168.0.1"], false],
  ] as const)(
    "of a machine that has 10.9.0.1 too, with nodePortAddresses %s",
    ([block, addresses, everyHostAddress]) => {
      const given = topology({ node: `node: { nodePortAddresses: ["${block}"] }` });
      const seen =
        read("hosts: [{ name: x, addresses: [192.168.0.1, 10.9.0.1, 127.0.0.1, 169.254.0.1] }]").hosts[0]?.addresses ??
        [];
      const plan = planHost(given, { host: "h1", machineAddresses: seen });
      expect(frontendOf(plan, "nodePort")).toMatchObject({ addresses, everyHostAddress });
    },
  );
});

describe("who is a pod", () => {
  const detector = (node: string, host?: string) =>
    planHost(topology(host === undefined ? { node } : { node, host }), { host: "h1" }).podDetector;

  test.for([
    ["whoever has an address of the host's podCIDR", "", { kind: "source", cidrs: ["10.1.0.0/24"] }],
    [
      "or of the clusterCIDR, where there is one",
      "node: { clusterCIDR: 10.0.0.0/8 }",
      { kind: "source", cidrs: ["10.0.0.0/8"] },
    ],
    [
      "or of the podCIDR again, where that is asked for",
      "node: { clusterCIDR: 10.0.0.0/8, detectLocalMode: NodeCIDR }",
      { kind: "source", cidrs: ["10.1.0.0/24"] },
    ],
    [
      "whoever comes through the bridge",
      "node: { detectLocalMode: BridgeInterface, detectLocal: { bridgeInterface: cni0 } }",
      { kind: "bridge", interface: "cni0" },
    ],
    [
      "whoever comes through an interface of the prefix",
      "node: { detectLocalMode: InterfaceNamePrefix, detectLocal: { interfaceNamePrefix: veth } }",
      { kind: "interfacePrefix", prefix: "veth" },
    ],
  ] as const)("%s", ([, node, expected]) => {
    const found = detector(node);
    expect(found.kind === "source" ? { ...found, cidrs: found.cidrs.map(formatCidr) } : found).toEqual(expected);
  });

  test("nobody, where nothing tells", () => {
    expect(detector("", "")).toEqual({ kind: "none" });
  });
});

describe("a plan", () => {
  test("has source ranges on load-balancer IPs alone, of their family", () => {
    const plan = planHost(topology({ service: '    loadBalancerSourceRanges: [198.51.100.0/24, "fd00::/8"]' }), {
      host: "h1",
    });
    const ranges = plan.ports[0]?.frontends.map(({ kind, sourceRanges }) => [kind, ...sourceRanges.map(formatCidr)]);
    expect(ranges).toEqual([["clusterIP"], ["externalIP"], ["loadBalancerIP", "198.51.100.0/24"], ["nodePort"]]);
  });

  test("reaches no more endpoints than some client may", () => {
    const reachable = (given: Parameters<typeof topology>[0], strip = false) => {
      const read_ = topology(given);
      const services = strip
        ? read_.services.map((service) => ({
            ...service,
            externalIPs: [],
            loadBalancerIPs: [],
            ports: service.ports.map(({ nodePort: _nodePort, ...port }) => port),
          }))
        : read_.services;
      const plan = planHost({ ...read_, services }, { host: "h1" });
      return plan.ports[0]?.reachableEndpoints.map(({ pod }) => pod);
    };
    expect(reachable({})).toEqual(["here", "there"]);
    expect(reachable({ service: "    internalTrafficPolicy: Local" })).toEqual(["here", "there"]);
    expect(reachable({ service: "    internalTrafficPolicy: Local" }, true)).toEqual(["here"]);
    expect(reachable({ here: DRAINING, service: "    externalTrafficPolicy: Local" })).toEqual(["here", "there"]);
  });

  test("answers health checks with the ready endpoints of this host alone", () => {
    const checks = (here: string, host: string) =>
      planHost(topology({ here, service: "    externalTrafficPolicy: Local\n    healthCheckNodePort: 32000" }), {
        host,
      }).healthChecks.map(({ port, localReadyEndpoints }) => [port, localReadyEndpoints]);
    expect(checks("", "h1")).toEqual([[32000, 1]]);
    expect(checks(DRAINING, "h1")).toEqual([[32000, 0]]);
    expect(checks(DRAINING, "h2")).toEqual([[32000, 1]]);
  });

  describe("of a dual-stack service counts for health checks", () => {
    const checks = (clusterIPs: string, rest = "") => {
      const read_ = read(`
hosts:
  - name: h1
    addresses: [192.168.0.1, 10.9.0.1, "fd00::1"]
    pods:
      - { name: both, addresses: ["10.1.0.2:80", "[fd00:1::2]:80"] }
      - { name: four, address: "10.1.0.3:80" }
services:
  - name: s
    clusterIPs: [${clusterIPs}]
    externalTrafficPolicy: Local
    healthCheckNodePort: 32000
    loadBalancerIPs: ${clusterIPs.startsWith('"') ? '["fd00:203::1"]' : "[203.0.113.1]"}
    ports: [{ name: a, port: 80, targetPort: 80 }, { name: b, port: 81, targetPort: 81 }]
    endpoints: [both, ${clusterIPs.includes("10.") ? "four" : ""}]
${rest}`);
      return planHost(read_, { host: "h1" }).healthChecks.map(({ service: _service, ...check }) => check);
    };

    test("the endpoints of IPv4, each address once: the family whose proxier opens the port first", () => {
      expect(checks('10.100.0.1, "fd00:100::1"')).toEqual([{ port: 32000, localReadyEndpoints: 2 }]);
    });

    test("those of IPv6 where it has no other", () => {
      expect(checks('"fd00:100::1"')).toEqual([{ port: 32000, localReadyEndpoints: 1 }]);
    });

    test("and is asked where NodePorts are served", () => {
      expect(checks('10.100.0.1, "fd00:100::1"', 'node: { nodePortAddresses: [10.0.0.0/8, "fd00::/16"] }')).toEqual([
        { port: 32000, localReadyEndpoints: 2, addresses: ["10.9.0.1", "fd00::1"] },
      ]);
    });
  });

  test("serves each family with that family's addresses", () => {
    const plan = planHost(
      read(`
hosts:
  - name: h1
    addresses: [192.168.0.1, "fd00::1"]
    podCIDRs: ["fd00:1::/64"]
    pods: [{ name: a, addresses: ["10.1.0.2:80", "[fd00:1::2]:80"] }, { name: b, address: "10.1.0.3:80" }]
services:
  - name: s
    clusterIPs: ["fd00:100::1", 10.100.0.1]
    externalIPs: [203.0.113.1]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [a, b]
node: { localhostNodePorts: true }`),
      { host: "h1" },
    );
    const rows = plan.ports.map(({ family, frontends, clusterEndpoints }) => ({
      family,
      addresses: frontends.map(({ kind, addresses }) => `${kind} ${addresses.join(" ")}`),
      endpoints: clusterEndpoints.map(({ address }) => address),
      outside: shown(frontends[0]?.clients.outside ?? { kind: "drop" }),
    }));
    expect(rows).toEqual([
      {
        family: 6,
        addresses: ["clusterIP fd00:100::1", "nodePort fd00::1"],
        endpoints: ["fd00:1::2"],
        outside: "a not-a-pod",
      },
      {
        family: 4,
        addresses: ["clusterIP 10.100.0.1", "externalIP 203.0.113.1", "nodePort 192.168.0.1 127.0.0.1"],
        endpoints: ["10.1.0.2", "10.1.0.3"],
        // The host has no IPv4 podCIDR, so IPv4 pods cannot be told.
        outside: "a+b",
      },
    ]);
  });

  test("has nothing to do for a headless service", () => {
    const headless = read(`
hosts: [{ name: h1, address: 192.168.0.1, pods: [{ name: a, address: "10.1.0.2:80" }] }]
services: [{ name: s, clusterIP: None, ports: [{ port: 80 }], endpoints: [a] }]`);
    expect(planHost(headless, { host: "h1" }).ports).toEqual([]);
  });

  test("cannot be made for a host that the topology does not list", () => {
    expect(() => planHost(topology({}), { host: "h9" })).toThrow(InputError);
  });
});

test("forwarding happens exactly where there is a usable endpoint, whatever the conditions", () => {
  const anyConditions = fc.record({ ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() });
  const anyPolicy = fc.constantFrom("Cluster", "Local");
  fc.assert(
    fc.property(anyConditions, anyConditions, anyPolicy, anyPolicy, (here, there, internal, external) => {
      const conditions = (given: typeof here) =>
        `, ready: ${given.ready}, serving: ${given.serving}, terminating: ${given.terminating}`;
      const plan = planHost(
        topology({
          here: conditions(here),
          there: conditions(there),
          service: `    internalTrafficPolicy: ${internal}\n    externalTrafficPolicy: ${external}`,
        }),
        { host: "h1" },
      );
      const isUsable = (given: typeof here) => given.ready || (given.serving && given.terminating);
      const anywhere = isUsable(here) || isUsable(there);
      for (const frontend of plan.ports[0]?.frontends ?? []) {
        for (const client of CLIENTS) {
          const policy = frontend.kind === "clusterIP" ? internal : client === "outside" ? external : "Cluster";
          const expected = !anywhere ? "refuse" : policy === "Local" && !isUsable(here) ? "drop" : "forward";
          expect(frontend.clients[client].kind).toBe(expected);
        }
      }
    }),
    { numRuns: 300 },
  );
});
