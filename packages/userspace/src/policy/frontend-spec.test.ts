import type { PodDetector } from "@svcproxy/topology";
import { parseCidr, parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { ip, loopbackPlan, type TestService } from "../testing/loopback-plan.ts";
import { compileFrontends, type HostAddresses, listens } from "./frontend-spec.ts";

const WEB: TestService = { vip: "10.96.0.10", port: 80, endpoints: [["10.0.1.2", 8080]] };
const NOWHERE: HostAddresses = { interfaces: [] };

function cidr(text: string) {
  const block = parseCidr(text);
  if (block === undefined) throw new TypeError(text);
  return block;
}

describe("compiled frontends", () => {
  test("have a key that says protocol, address and port", () => {
    const services = [WEB, { ...WEB, vip: "fd00::10" }, { ...WEB, protocol: "udp" as const }];
    expect([...compileFrontends(loopbackPlan(services), NOWHERE).frontends.keys()]).toEqual([
      "tcp 10.96.0.10:80",
      "tcp [fd00::10]:80",
      "udp 10.96.0.10:80",
    ]);
  });

  test("of a NodePort listen on each of its addresses, once", () => {
    const plan = loopbackPlan([{ ...WEB, vip: "192.168.1.6", nodePort: true }]);
    const addresses = ["192.168.1.6", "10.1.1.1", "192.168.1.6"].map(ip);
    const ports = plan.ports.map((port) => ({
      ...port,
      frontends: port.frontends.map((frontend) => ({ ...frontend, addresses })),
    }));
    const { frontends } = compileFrontends({ ...plan, ports }, NOWHERE);
    expect([...frontends.values()].map(({ address }) => address)).toEqual(["192.168.1.6", "10.1.1.1"]);
  });

  test("that want the same address and port: the first has it", () => {
    const { frontends } = compileFrontends(
      loopbackPlan([
        { ...WEB, name: "first" },
        { ...WEB, name: "second" },
      ]),
      NOWHERE,
    );
    expect([...frontends.values()].map(({ service }) => service)).toEqual(["default/first"]);
  });

  test("are not made of SCTP, which is said", () => {
    const plan = loopbackPlan([{ ...WEB, protocol: "sctp", name: "signalling\n" }]);
    const { frontends, unsupported } = compileFrontends(plan, NOWHERE);
    expect(frontends.size).toBe(0);
    expect(unsupported).toMatchObject([{ key: "sctp 10.96.0.10:80", service: "default/signalling\n" }]);
  });

  test("whose endpoint leads back to them refuse, and it is no endpoint of theirs", () => {
    const text = `
hosts: [{ name: edge, address: 192.0.2.1 }]
services:
  - { name: echo, clusterIP: 10.96.0.10, ports: [{ port: 80 }], endpoints: ["10.96.0.10:80"] }
  - { name: web, clusterIP: 10.96.0.11, ports: [{ port: 80 }], endpoints: ["10.0.1.2:8080"] }
`;
    const { topology } = parseTopology(Buffer.from(text), { file: "echo.yaml" });
    const { frontends, endpoints } = compileFrontends(planHost(topology, { host: "edge" }), NOWHERE);
    expect([...frontends.values()].map(listens)).toEqual([false, true]);
    expect(endpoints.map(({ key }) => key)).toEqual(["tcp 10.0.1.2:8080"]);
  });

  test("without an endpoint for anybody do not listen, unless UDP clients are owed silence", () => {
    const serves = (service: TestService) =>
      [...compileFrontends(loopbackPlan([service]), NOWHERE).frontends.values()].map(listens);
    expect(serves(WEB)).toEqual([true]);
    expect(serves({ ...WEB, endpoints: [] })).toEqual([false]);
    const drop = { kind: "drop" } as const;
    expect(serves({ ...WEB, clients: { outside: drop } })).toEqual([true]);
    const silent = { ...WEB, clients: { pod: drop, host: drop, outside: drop } };
    expect(serves(silent)).toEqual([false]);
    expect(serves({ ...silent, protocol: "udp" })).toEqual([true]);
    expect(serves({ ...WEB, protocol: "udp", endpoints: [] })).toEqual([false]);
  });

  test("list endpoints that are not for new connections too, each with all its services", () => {
    const unready = [["10.0.1.3", 8080]] as const;
    const services = [
      { ...WEB, name: "a", unready },
      { ...WEB, name: "b", vip: "10.96.0.11" },
    ];
    expect(compileFrontends(loopbackPlan(services), NOWHERE).endpoints).toMatchObject([
      { key: "tcp 10.0.1.2:8080", services: ["default/a", "default/b"] },
      { key: "tcp 10.0.1.3:8080", services: ["default/a"] },
    ]);
  });

  test.for<{ name: string; detector: PodDetector; pods: readonly string[] }>([
    { name: "nothing", detector: { kind: "none" }, pods: [] },
    { name: "the source", detector: { kind: "source", cidrs: [cidr("10.0.0.0/16")] }, pods: ["10.0.0.0/16"] },
    { name: "the bridge's subnet", detector: { kind: "bridge", interface: "cni0" }, pods: ["10.5.75.0/24"] },
    { name: "the interfaces' subnets", detector: { kind: "interfacePrefix", prefix: "veth" }, pods: ["10.6.0.0/24"] },
    { name: "podCIDR, without a subnet", detector: { kind: "interfacePrefix", prefix: "cali" }, pods: ["10.7.0.0/24"] },
  ])("tell pods by $name", ({ detector, pods }) => {
    const interfaces = [
      { name: "cni0", cidr: cidr("10.5.75.0/24") },
      { name: "veth1", cidr: cidr("10.6.0.0/24") },
      { name: "cali1", cidr: cidr("10.8.0.1/32") },
      { name: "eth0", cidr: cidr("192.168.1.0/24") },
    ];
    const plan = loopbackPlan([WEB], detector);
    const host = { ...plan.host, podCIDRs: [cidr("10.7.0.0/24")] };
    const served = compileFrontends({ ...plan, host }, { interfaces });
    expect(served.podCidrs.map(({ address, prefixLength }) => `${address}/${prefixLength}`)).toEqual(pods);
  });
});
