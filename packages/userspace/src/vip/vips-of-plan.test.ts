import {
  DEFAULT_NODE_SETTINGS,
  type HostPlan,
  InputError,
  parseCidr,
  parseIpAddress,
  parsePort,
  planHost,
} from "@svcproxy/topology";
import { expect, test } from "vitest";
import { checkVipRanges } from "./check-vip-ranges.ts";
import { vipsOfPlan } from "./vips-of-plan.ts";

test("ClusterIPs, external and load-balancer IPs are VIPs, each once; NodePorts are not", () => {
  const plan = planOf({
    clusterIPs: ["10.96.0.1", "fd00:96::1"],
    externalIPs: ["203.0.113.9"],
    loadBalancerIPs: ["203.0.113.9"],
  });
  const { vips, refused } = vipsOfPlan(plan);
  expect([...vips].sort()).toEqual(["10.96.0.1", "203.0.113.9", "fd00:96::1"]);
  expect(refused.size).toBe(0);
});

test.for([
  { name: "another host's address", address: "192.0.2.2", owner: 'host "b"' },
  { name: "an endpoint's address", address: "10.5.0.2", owner: 'an endpoint of service "web"' },
])("$name is never made local", ({ address, owner }) => {
  const { vips, refused } = vipsOfPlan(planOf({ externalIPs: [address] }));
  expect(vips).not.toContain(address);
  expect([...refused]).toEqual([[address, `it is the address of ${owner}`]]);
});

test("an external IP that is the host's own needs nothing", () => {
  const { vips, refused } = vipsOfPlan(planOf({ externalIPs: ["192.0.2.1"] }));
  expect(vips).not.toContain("192.0.2.1");
  expect(refused.size).toBe(0);
});

test("a VIP that is its own endpoint is one still: its clients are refused at once", () => {
  const { vips, refused } = vipsOfPlan(planOf({ clusterIPs: ["10.96.0.1"], endpoint: ["10.96.0.1", 80] }));
  expect(vips).toEqual(["10.96.0.1"]);
  expect(refused.size).toBe(0);
});

test("a service of SCTP ports needs no VIP", () => {
  expect(vipsOfPlan(planOf({ protocol: "sctp" })).vips).toEqual([]);
});

test.for([
  { range: "0.0.0.0/0", holds: "every address" },
  { range: "127.0.0.0/8", holds: "loopback" },
  { range: "127.1.0.0/16", holds: "loopback" },
  { range: "192.0.2.0/24", holds: '192.0.2.1 of host "a"' },
  { range: "192.0.2.2/32", holds: '192.0.2.2 of host "b"' },
  { range: "10.0.0.0/8", holds: 'endpoint 10.5.0.2 of service "web"' },
])("the range $range is refused, because it holds $holds", ({ range, holds }) => {
  expect(() => checkVipRanges([cidr(range)], planOf({}))).toThrow(
    expect.objectContaining({ code: "VIP_RANGE_TOO_WIDE", message: expect.stringContaining(holds) }),
  );
});

test("every range that is too wide is named", () => {
  try {
    checkVipRanges([cidr("0.0.0.0/0"), cidr("10.96.0.0/16"), cidr("192.0.2.0/24")], planOf({}));
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(InputError);
    expect(error instanceof InputError ? error.faults.length : 0).toBe(2);
  }
});

test("a range of VIPs is fine", () => {
  expect(() => checkVipRanges([cidr("10.96.0.0/16"), cidr("fd00:96::/108")], planOf({}))).not.toThrow();
});

interface ServiceUnderTest {
  readonly clusterIPs?: readonly string[];
  readonly externalIPs?: readonly string[];
  readonly loadBalancerIPs?: readonly string[];
  readonly protocol?: "tcp" | "sctp";
  readonly endpoint?: readonly [address: string, port: number];
}

/** Hosts a (192.0.2.1, the plan's) and b (192.0.2.2); service web with endpoint 10.5.0.2. */
function planOf({
  clusterIPs = ["10.96.0.1"],
  externalIPs = [],
  loadBalancerIPs = [],
  protocol = "tcp",
  endpoint: [to, toPort] = ["10.5.0.2", 8080],
}: ServiceUnderTest): HostPlan {
  const conditions = { ready: true, serving: true, terminating: false, hints: { zones: [], nodes: [] } };
  const host = (name: string, text: string) => ({ name, addresses: [address(text)], podCIDRs: [], pods: [] });
  return planHost(
    {
      source: "topology",
      node: DEFAULT_NODE_SETTINGS,
      hosts: [host("a", "192.0.2.1"), host("b", "192.0.2.2")],
      services: [
        {
          namespace: "default",
          name: "web",
          clusterIPs: clusterIPs.map(address),
          externalIPs: externalIPs.map(address),
          loadBalancerIPs: loadBalancerIPs.map(address),
          loadBalancerSourceRanges: [],
          internalTrafficPolicy: "Cluster",
          externalTrafficPolicy: "Cluster",
          ports: [
            {
              name: "",
              protocol,
              port: port(80),
              nodePort: port(30080),
              endpoints: [{ address: address(to), port: port(toPort), ...conditions }],
            },
          ],
        },
      ],
    },
    { host: "a" },
  );
}

function address(text: string) {
  const parsed = parseIpAddress(text);
  if (parsed === undefined) throw new Error(`no address: ${text}`);
  return parsed;
}

function cidr(text: string) {
  const parsed = parseCidr(text);
  if (parsed === undefined) throw new Error(`no range: ${text}`);
  return parsed;
}

function port(value: number) {
  const parsed = parsePort(value);
  if (parsed === undefined) throw new Error(`no port: ${value}`);
  return parsed;
}
