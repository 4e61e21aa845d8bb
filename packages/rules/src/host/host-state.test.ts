import { exampleTopology, InputError, parseIpAddress } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { hostStateOf } from "./host-state-of.ts";
import { parseIpSets } from "./ip-set.ts";
import { readHostState } from "./read-host-state.ts";
import { createRouter } from "./routing.ts";

function routeTo(state: Parameters<typeof createRouter>[0], text: string, mark = 0): string {
  const destination = parseIpAddress(text);
  if (destination === undefined) throw new TypeError(`no address: ${text}`);
  const answer = createRouter(state).lookup({ destination, mark, inInterface: "lo" });
  if (answer.kind !== "found") return answer.kind;
  const { type, interface: device, gateway } = answer.route;
  return [type, device, gateway].filter((part) => part !== undefined).join(" ");
}

describe("the host that a topology implies", () => {
  const { topology } = exampleTopology();
  const state = hostStateOf(topology, { host: "cloudos1" });

  test.for([
    ["192.168.1.6", "local eth0"],
    ["10.5.75.1", "local cni0"],
    ["10.5.75.0", "local flannel.1"],
    ["127.0.0.5", "local lo"],
    ["10.5.75.2", "unicast cni0"],
    ["10.5.88.2", "unicast flannel.1 10.5.88.0"],
    ["192.168.1.7", "unicast eth0"],
    ["10.100.100.1", "unicast eth0"],
    ["192.168.1.255", "broadcast eth0"],
  ] as const)("reaches %s: %s", ([to, route]) => {
    expect(routeTo(state, to)).toBe(route);
  });

  test("routes pods through their hosts where there is no overlay", () => {
    expect(routeTo(hostStateOf(topology, { host: "cloudos1", overlay: "none" }), "10.5.88.2")).toBe(
      "unicast eth0 192.168.1.7",
    );
  });

  test.for([
    [{}, "0"],
    [{ localhostNodePorts: true }, "1"],
    [{ localhostNodePorts: true, nodePortsOnPrimaryAddress: true }, "0"],
  ] as const)("routes 127.0.0.0/8 off loopback for NodePorts there: %j", ([settings, expected]) => {
    const asking = { ...topology, node: { ...topology.node, ...settings } };
    const { sysctls } = hostStateOf(asking, { host: "cloudos1" });
    expect(sysctls["net.ipv4.conf.all.route_localnet"]).toBe(expected);
  });

  test("is one that the topology lists", () => {
    expect(() => hostStateOf(topology, { host: "nobody" })).toThrow(InputError);
  });
});

const addr = [
  {
    ifname: "lo",
    flags: ["LOOPBACK"],
    addr_info: [{ family: "inet", local: "127.0.0.1", prefixlen: 8, scope: "host" }],
  },
  {},
  {
    ifname: "eth0",
    linkinfo: { info_kind: "veth" },
    addr_info: [{ local: "192.168.1.6", prefixlen: 24, scope: "global" }],
  },
];

describe("a host's state as `ip -j` prints it", () => {
  const read = (value: unknown) => readHostState(JSON.stringify(value), { file: "state.json" });

  test("is read with policy rules, marks, metrics and tables", () => {
    const state = read({
      addr,
      route: {
        4: [
          { dst: "default", gateway: "192.168.1.1", dev: "eth0", metric: 100, flags: [] },
          { dst: "default", gateway: "192.168.1.2", dev: "eth0", metric: 50, flags: [] },
          { type: "blackhole", dst: "10.9.0.0/16", table: "100" },
          { dst: "10.8.0.0/16", dev: "eth0", flags: ["dead", "linkdown"] },
        ],
      },
      rule: {
        4: [
          { priority: 0, src: "all", table: "local" },
          { priority: 9, src: "all", fwmark: "0x100", fwmask: "0x100", table: "100" },
          { priority: 32766, src: "all", table: "main" },
        ],
      },
      sysctls: { "net.ipv4.ip_forward": "1" },
    });
    expect(routeTo(state, "10.9.1.1")).toBe("unicast eth0 192.168.1.2");
    expect(routeTo(state, "10.9.1.1", 0x101)).toBe("blackhole");
    expect(routeTo(state, "10.8.1.1")).toBe("unicast eth0 192.168.1.2");
    expect(state.interfaces.map(({ name, linkKind }) => [name, linkKind])).toEqual([
      ["lo", undefined],
      ["eth0", "veth"],
    ]);
  });

  test("needs no local table: the addresses imply it", () => {
    expect(routeTo(read({ addr, route: [], rule: [], sysctls: {} }), "192.168.1.6")).toBe("local eth0");
  });

  test("with several next hops or an unknown rule has no certain route", () => {
    const hops = { dst: "default", nexthops: [{ gateway: "192.168.1.1" }, { gateway: "192.168.1.2" }] };
    expect(routeTo(read({ addr, route: [hops] }), "8.8.8.8")).toBe("unknown");
    const rule = { priority: 5, src: "all", table: "7", tun_id: 5 };
    expect(routeTo(read({ addr, route: [], rule: [rule] }), "8.8.8.8")).toBe("unknown");
  });

  test.for([
    { name: "no JSON", text: "{", says: /as a host's state/ },
    { name: "a list", text: "[]", says: /it is not an object/ },
    { name: "no addresses", text: "{}", says: /at addr: it is missing/ },
    {
      name: "a route to nowhere",
      text: '{"addr":[],"route":[{"dst":"x"}]}',
      says: /at route\.0\.dst: "x" is not a destination/,
    },
    { name: "an interface without a name", text: '{"addr":[{"mtu":1}]}', says: /at addr\.0\.ifname/ },
  ])("is refused with its place: $name", ({ text, says }) => {
    expect(() => readHostState(text, { file: "state.json" })).toThrow(says);
  });
});

test("sets are read as `ipset save` prints them, and a stray line is a fault", () => {
  const sets = parseIpSets(
    "create a hash:net family inet hashsize 64\nadd a 10.0.0.0/8\nadd a 10.1.0.0/16 nomatch timeout 5\n",
    { file: "f" },
  );
  expect(sets["a"]?.members.map(({ noMatch }) => noMatch)).toEqual([false, true]);
  expect(() => parseIpSets("add nobody 10.0.0.1\n", { file: "f" })).toThrow(/line 1 of the sets/);
});
