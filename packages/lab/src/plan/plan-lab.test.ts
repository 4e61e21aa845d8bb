import { exampleTopology, parseTopology, type Topology } from "@svcproxy/topology";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { LabPlan, Overlay } from "./lab-plan.ts";
import { planLab } from "./plan-lab.ts";

const OPTIONS = { overlay: "vxlan", rpFilter: true } as const;

function topologyOf(file: unknown): Topology {
  return parseTopology(Buffer.from(JSON.stringify(file)), { file: "test.json" }).topology;
}

function linesOf(plan: LabPlan, namespace: string): readonly string[] {
  return plan.setups.flatMap((setup) => (setup.namespace === namespace ? [...setup.ip, ...setup.bridge] : []));
}

describe("the plan of the document's set-up", () => {
  const plan = planLab(exampleTopology().topology, OPTIONS);

  test("has hosts, pods, a client outside and the router between them", () => {
    expect(plan.places.map(({ name, kind }) => `${kind} ${name}`)).toEqual([
      "host cloudos1",
      "host cloudos2",
      "pod os1_my1",
      "pod os1_my2",
      "pod os2_my1",
      "pod os2_my2",
      "client client",
      "gateway gateway",
    ]);
  });

  test("lays the VXLAN device as flannel lays it", () => {
    expect(linesOf(plan, "cloudos1")).toEqual(
      expect.arrayContaining([
        "link add flannel.1 address 0e:f1:00:00:00:01 mtu 1450 type vxlan id 1 local 192.168.1.6 dev eth0 dstport 8472 nolearning",
        "addr add 10.5.75.0/32 dev flannel.1",
        "neigh replace 10.5.88.0 lladdr 0e:f1:00:00:00:02 dev flannel.1 nud permanent",
        "route add 10.5.88.0/24 via 10.5.88.0 dev flannel.1 onlink",
        "fdb replace 0e:f1:00:00:00:02 dev flannel.1 dst 192.168.1.7 self permanent",
      ]),
    );
  });

  test("gives the pod bridge the first address of the podCIDR, and lets a pod's packets come back to it", () => {
    expect(linesOf(plan, "cloudos1")).toEqual(
      expect.arrayContaining(["addr add 10.5.75.1/24 dev cni0", "link set veth0 type bridge_slave hairpin on"]),
    );
    expect(linesOf(plan, "os1_my1")).toContain("route add 0.0.0.0/0 via 10.5.75.1 dev eth0 onlink");
  });

  test("serves each pod's own port", () => {
    expect(plan.servers.map(({ name, sockets }) => [name, sockets])).toEqual([
      ["os1_my1", [{ address: "10.5.75.2", port: 3000 }]],
      ["os1_my2", [{ address: "10.5.75.3", port: 3000 }]],
      ["os2_my1", [{ address: "10.5.88.2", port: 3000 }]],
      ["os2_my2", [{ address: "10.5.88.3", port: 3000 }]],
    ]);
  });

  test("sets reverse-path filtering on and off", () => {
    const rpFilterWhen = (rpFilter: boolean) => {
      const { setups } = planLab(exampleTopology().topology, { ...OPTIONS, rpFilter });
      return setups[0]?.sysctls.find(([path]) => path === "ipv4/conf/*/rp_filter")?.[1];
    };
    expect([rpFilterWhen(true), rpFilterWhen(false)]).toEqual(["1", "0"]);
  });

  test("sets forwarding on each device, whatever the machine's devices have", () => {
    const sysctlsOf = (namespace: string) =>
      plan.setups.find((setup) => setup.namespace === namespace)?.sysctls.map(([path, value]) => `${path}=${value}`);
    expect(sysctlsOf("cloudos1")).toEqual(
      expect.arrayContaining(["ipv4/conf/*/forwarding=1", "ipv6/conf/*/forwarding=1"]),
    );
    expect(sysctlsOf("os1_my1")).toEqual(
      expect.arrayContaining(["ipv4/conf/*/forwarding=0", "ipv6/conf/*/forwarding=0"]),
    );
  });

  test("needs nothing but routes with host-gw", () => {
    const routed = planLab(exampleTopology().topology, { ...OPTIONS, overlay: "host-gw" });
    expect(linesOf(routed, "cloudos1")).toContain("route add 10.5.88.0/24 via 192.168.1.7 dev eth0 onlink");
    expect(linesOf(routed, "cloudos1").join("\n")).not.toContain("flannel");
  });
});

/** Two hosts with a pod each, and what a case changes of them. */
function twoHosts({
  first = {},
  second = {},
  services = [],
}: {
  first?: object;
  second?: object;
  services?: unknown[];
}) {
  return topologyOf({
    hosts: [
      {
        name: "a",
        address: "192.168.1.6",
        podCIDR: "10.5.75.0/24",
        pods: [{ name: "p", address: "10.5.75.2:80" }],
        ...first,
      },
      {
        name: "b",
        address: "192.168.1.7",
        podCIDR: "10.5.88.0/24",
        pods: [{ name: "q", address: "10.5.88.2:80" }],
        ...second,
      },
    ],
    services,
  });
}

const CASES: readonly {
  readonly name: string;
  readonly topology: Topology;
  readonly overlay?: Overlay;
  readonly namespace: string;
  readonly has: readonly string[];
}[] = [
  {
    name: "hosts that share no block reach each other by a route to each address",
    topology: twoHosts({ second: { address: "172.16.9.9" } }),
    namespace: "a",
    has: [
      "addr add 192.168.1.6/32 dev eth0",
      "route add 172.16.9.9/32 dev eth0",
      "route add 0.0.0.0/0 via 198.18.0.1 dev eth0 onlink",
    ],
  },
  {
    name: "IPv6 has a VXLAN device of its own, with room for the longer header",
    topology: twoHosts({
      first: {
        addresses: ["192.168.1.6", "fd00:1::6"],
        podCIDRs: ["10.5.75.0/24", "fd00:5:75::/64"],
        address: undefined,
        podCIDR: undefined,
      },
      second: {
        addresses: ["192.168.1.7", "fd00:1::7"],
        podCIDRs: ["10.5.88.0/24", "fd00:5:88::/64"],
        address: undefined,
        podCIDR: undefined,
      },
    }),
    namespace: "a",
    has: [
      "link add flannel-v6.1 address 0e:f1:00:00:00:01 mtu 1430 type vxlan id 1 local fd00:1::6 dev eth0 dstport 8472 nolearning",
      "addr add fd00:5:75::/128 dev flannel-v6.1 nodad",
      "addr add fd00:5:75::1/64 dev cni0 nodad",
      "route add fd00:5:88::/64 via fd00:5:88:: dev flannel-v6.1 onlink",
    ],
  },
  {
    name: "IPv6 pods of hosts without IPv6 addresses travel through the IPv4 device",
    topology: twoHosts({
      first: { podCIDR: "fd00:5:75::/64", pods: [{ name: "p", address: "[fd00:5:75::2]:80" }] },
      second: { podCIDR: "fd00:5:88::/64", pods: [{ name: "q", address: "[fd00:5:88::2]:80" }] },
    }),
    namespace: "a",
    has: ["route add fd00:5:88::/64 via fd00:5:88:: dev flannel.1 onlink"],
  },
  {
    name: "IPv4 pods of hosts with IPv6 addresses alone have an IPv6 next hop",
    topology: twoHosts({ first: { address: "fd00:1::6" }, second: { address: "fd00:1::7" } }),
    overlay: "host-gw",
    namespace: "a",
    has: ["route add 10.5.88.0/24 via inet6 fd00:1::7 dev eth0 onlink"],
  },
  {
    name: "a pod outside of its host's podCIDR is routed by its address",
    topology: twoHosts({ first: { pods: [{ name: "p", address: "10.9.9.9:80" }] } }),
    namespace: "b",
    has: [
      "neigh replace 10.9.9.9 lladdr 0e:f1:00:00:00:01 dev flannel.1 nud permanent",
      "route add 10.9.9.9/32 dev flannel.1",
    ],
  },
  {
    name: "and finds its host at a link-local address",
    topology: twoHosts({ first: { pods: [{ name: "p", address: "10.9.9.9:80" }] } }),
    namespace: "p",
    has: ["addr add 10.9.9.9/32 dev eth0", "route add 0.0.0.0/0 via 169.254.1.1 dev eth0 onlink"],
  },
  {
    name: "an endpoint that is not a host's lives at the gateway",
    topology: twoHosts({
      services: [{ name: "s", clusterIP: "10.96.0.1", ports: [{ port: 443 }], endpoints: ["203.0.113.9:443"] }],
    }),
    namespace: "gateway",
    has: ["addr add 203.0.113.9/32 dev underlay"],
  },
  {
    name: "external and load-balancer IPs lead to the first host",
    topology: twoHosts({
      services: [
        {
          name: "s",
          clusterIP: "10.96.0.1",
          externalIPs: ["198.51.100.8"],
          loadBalancerIPs: ["203.0.113.8"],
          ports: [{ port: 80 }],
          endpoints: ["p"],
        },
      ],
    }),
    namespace: "client",
    has: [
      "route add 198.51.100.8/32 via 192.168.1.6 dev eth0 onlink",
      "route add 203.0.113.8/32 via 192.168.1.6 dev eth0 onlink",
    ],
  },
];

test.for(CASES)("$name", ({ topology, overlay, namespace, has }) => {
  const plan = planLab(topology, { ...OPTIONS, overlay: overlay ?? "vxlan" });
  expect(linesOf(plan, namespace)).toEqual(expect.arrayContaining([...has]));
});

describe("servers", () => {
  test("a pod also serves the ports that services send to it", () => {
    const topology = twoHosts({
      services: [{ name: "s", clusterIP: "10.96.0.1", ports: [{ port: 443, targetPort: 8443 }], endpoints: ["p"] }],
    });
    const [first] = planLab(topology, OPTIONS).servers;
    expect(first?.sockets.map(({ port }) => port)).toEqual([80, 8443]);
  });

  test("a pod in its host's network answers there, and has no network of its own", () => {
    const topology = twoHosts({ first: { pods: [{ name: "agent", address: "192.168.1.6:9100" }] } });
    const plan = planLab(topology, OPTIONS);
    expect(plan.servers[0]).toEqual({
      name: "agent",
      namespace: "a",
      sockets: [{ address: "192.168.1.6", port: 9100 }],
    });
    expect(plan.wiring.join("\n")).not.toContain("netns add agent");
  });

  test("an endpoint inside of a podCIDR that no pod claims becomes a pod named by its address", () => {
    const topology = twoHosts({
      services: [{ name: "s", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["10.5.75.77:80"] }],
    });
    const place = planLab(topology, OPTIONS).places.find(({ name }) => name === "10.5.75.77");
    expect(place).toMatchObject({ kind: "pod", host: "a" });
  });

  test("nothing is started where an endpoint is a VIP or a NodePort of the topology", () => {
    const ports = [{ port: 80, nodePort: 30080 }];
    const endpoints = ["192.168.1.6:30080", "10.96.0.2:80", "192.168.1.6:30081"];
    const topology = twoHosts({
      services: [
        { name: "s", clusterIP: "10.96.0.1", ports, endpoints },
        { name: "other", clusterIP: "10.96.0.2", ports: [{ port: 80 }], endpoints: ["p"] },
      ],
    });
    const sockets = planLab(topology, OPTIONS).servers.flatMap((server) => server.sockets);
    expect(sockets.filter(({ address }) => endpoints.some((endpoint) => endpoint.startsWith(`${address}:`)))).toEqual([
      { address: "192.168.1.6", port: 30081 },
    ]);
  });
});

describe("names", () => {
  test("a pod named like a host or like the client is told apart by its kind", () => {
    const topology = twoHosts({
      first: {
        pods: [
          { name: "b", address: "10.5.75.2:80" },
          { name: "client", address: "10.5.75.3:80" },
        ],
      },
    });
    const names = planLab(topology, OPTIONS).places.map(({ name }) => name);
    expect(names).toEqual(["a", "b", "pod/b", "pod/client", "q", "client", "gateway"]);
  });

  test("any names give places and namespaces that are all different, and files that stay in their folder", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string({ minLength: 1, maxLength: 80 }), { minLength: 2, maxLength: 6 }),
        (names) => {
          const [a = "", b = "", ...pods] = names;
          const topology: Topology = {
            ...twoHosts({}),
            hosts: twoHosts({}).hosts.map((host, index) => ({
              ...host,
              name: index === 0 ? a : b,
              pods: pods.map((name, number) => ({
                name,
                addresses: [],
                ready: true,
                serving: true,
                terminating: false,
                hints: { zones: [], nodes: [] },
                number,
              })),
            })),
          };
          const { places } = planLab(topology, OPTIONS);
          expect(new Set(places.map(({ name }) => name)).size).toBe(places.length);
          expect(new Set(places.map(({ namespace }) => namespace)).size).toBe(places.length);
          for (const { namespace } of places) expect(namespace).toMatch(/^[A-Za-z0-9][A-Za-z0-9_.~-]*$/);
        },
      ),
      { numRuns: 100 },
    );
  });
});

describe("what cannot be built", () => {
  test.for([
    {
      name: "no hosts",
      topology: (): Topology => ({ ...exampleTopology().topology, hosts: [] }),
      code: "LAB_NO_HOSTS",
    },
    {
      name: "a pod with the bridge's address",
      topology: () => twoHosts({ first: { pods: [{ name: "p", address: "10.5.75.1:80" }] } }),
      code: "LAB_ADDRESS_TAKEN",
    },
    {
      name: "pods of a family for which the hosts have no common way",
      topology: () => twoHosts({ second: { address: "fd00:1::7" } }),
      code: "LAB_NO_OVERLAY",
    },
  ])("$name", ({ topology, code }) => {
    expect(() => planLab(topology(), OPTIONS)).toThrow(expect.objectContaining({ code }));
  });
});
