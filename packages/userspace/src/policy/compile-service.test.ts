import { parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { ip, loopbackPlan, type TestService } from "../testing/loopback-plan.ts";
import { compileService } from "./compile-service.ts";
import { listens } from "./frontend-spec.ts";

const WEB: TestService = { vip: "10.96.0.10", port: 80, endpoints: [["10.0.1.2", 8080]] };

function compile(...services: readonly TestService[]) {
  return compileService(loopbackPlan(services).ports);
}

describe("compiled frontends", () => {
  test("have a key that says protocol, address and port", () => {
    const { frontends } = compile(WEB, { ...WEB, vip: "fd00::10" }, { ...WEB, protocol: "udp" });
    expect(frontends.map(({ key }) => key)).toEqual(["tcp 10.96.0.10:80", "tcp [fd00::10]:80", "udp 10.96.0.10:80"]);
  });

  test("of a NodePort listen on each of its addresses, once", () => {
    const plan = loopbackPlan([{ ...WEB, vip: "192.168.1.6", nodePort: true }]);
    const addresses = ["192.168.1.6", "10.1.1.1", "192.168.1.6"].map(ip);
    const ports = plan.ports.map((port) => ({
      ...port,
      frontends: port.frontends.map((frontend) => ({ ...frontend, addresses })),
    }));
    expect(compileService(ports).frontends.map(({ address }) => address)).toEqual(["192.168.1.6", "10.1.1.1"]);
  });

  test("are not made of SCTP", () => {
    const { frontends, endpoints, unsupported } = compile({ ...WEB, protocol: "sctp", name: "signalling" });
    expect([...frontends, ...endpoints]).toEqual([]);
    expect(unsupported).toMatchObject([{ key: "sctp 10.96.0.10:80", service: "default/signalling" }]);
  });

  test("whose endpoint leads back to them refuse", () => {
    const text = `
hosts: [{ name: edge, address: 192.0.2.1 }]
services:
  - { name: echo, clusterIP: 10.96.0.10, ports: [{ port: 80 }], endpoints: ["10.96.0.10:80"] }
  - { name: web, clusterIP: 10.96.0.11, ports: [{ port: 80 }], endpoints: ["10.0.1.2:8080"] }
`;
    const { topology } = parseTopology(Buffer.from(text), { file: "echo.yaml" });
    const { frontends } = compileService(planHost(topology, { host: "edge" }).ports);
    expect(frontends.map(listens)).toEqual([false, true]);
  });

  test("without an endpoint for anybody do not listen, unless UDP clients are owed silence", () => {
    const serves = (service: TestService) => compile(service).frontends.map(listens);
    expect(serves(WEB)).toEqual([true]);
    expect(serves({ ...WEB, endpoints: [] })).toEqual([false]);
    const drop = { kind: "drop" } as const;
    expect(serves({ ...WEB, clients: { outside: drop } })).toEqual([true]);
    const silent = { ...WEB, clients: { pod: drop, host: drop, outside: drop } };
    expect(serves(silent)).toEqual([false]);
    expect(serves({ ...silent, protocol: "udp" })).toEqual([true]);
    expect(serves({ ...WEB, protocol: "udp", endpoints: [] })).toEqual([false]);
  });

  test("name endpoints by keys that are listed, with those that are not for new connections", () => {
    const { frontends, endpoints } = compile({ ...WEB, unready: [["10.0.1.3", 8080]] });
    expect(frontends[0]?.clients.outside).toEqual({ kind: "forward", endpoints: ["tcp 10.0.1.2:8080"] });
    expect(endpoints.map(({ key }) => key)).toEqual(["tcp 10.0.1.2:8080", "tcp 10.0.1.3:8080"]);
  });
});
