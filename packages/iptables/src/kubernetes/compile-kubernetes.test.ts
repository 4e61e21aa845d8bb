import { parseIpAddress, parseTopology, planHost } from "@svcproxy/topology";
import { describe, expect, test } from "vitest";
import { compileScript } from "../compile-rules.ts";
import type { CompileOptions } from "../rule-style.ts";
import { formatRestoreScript } from "../script/format-script.ts";

const HOSTS = `
hosts:
  - { name: node1, address: 192.0.2.1, podCIDR: 10.1.0.0/16, pods: [{ name: web, address: "10.1.0.2:80" }] }
`;

function rules(services: string, options: Partial<CompileOptions> = {}): string[] {
  const { topology } = parseTopology(Buffer.from(`${HOSTS}${services}`), { file: "test" });
  const plan = planHost(topology, { host: "node1" });
  return [...formatRestoreScript(compileScript(plan, { dialect: "kubernetes", family: 4, ...options }))]
    .join("")
    .trimEnd()
    .split("\n");
}

/** An address that a Node may have beside its main one. */
const SECOND = [parseIpAddress("172.20.0.5")].flatMap((address) => address ?? []);

const addresses = (count: number) =>
  Array.from({ length: count }, (_, index) => `"198.51.${index >> 8}.${index & 255}:80"`).join(", ");
const serviceOf = (endpoints: string) =>
  `services: [{ name: web, clusterIP: 10.96.0.1, ports: [{ name: p80, port: 80 }], endpoints: [${endpoints}] }]`;

describe("the kubernetes dialect", () => {
  test("has ten decimals of 1/(n - i), and endpoints in the order of their text", () => {
    const lines = rules(serviceOf('"198.51.100.10:80", "198.51.100.9:80", "198.51.100.1:80"'));
    const choices = lines.filter((line) => line.startsWith("-A KUBE-SVC-") && line.includes(" -> "));
    expect(choices.map((line) => /-> ([\d.]+:80)".*?(?:--probability ([\d.]+)|$)/.exec(line)?.slice(1))).toEqual([
      ["198.51.100.10:80", "0.3333333333"],
      ["198.51.100.1:80", "0.5000000000"],
      ["198.51.100.9:80", undefined],
    ]);
  });

  test("writes 3n + 2 nat rules for a ClusterIP with n endpoints, and five that are always there", () => {
    const counts = [0, 1, 3].map((count) => {
      const lines = rules(serviceOf(addresses(count)));
      return lines.slice(lines.indexOf("*nat")).filter((line) => line.startsWith("-A")).length;
    });
    expect(counts).toEqual([5, 5 + 5, 5 + 11]);
  });

  test("leaves out the comments of which there are most above 1,000 endpoints", () => {
    const comments = (count: number) =>
      rules(serviceOf(addresses(count)), { dispatch: "linear" }).filter((line) => line.includes("--comment"));
    expect(comments(1000).length).toBeGreaterThan(3000);
    expect(comments(1001).some((line) => /KUBE-SEP-/.test(line))).toBe(false);
    expect(comments(1001).some((line) => line.includes("default/web:p80 cluster IP"))).toBe(true);
  });

  test("says --random-fully and drops INVALID unless the host cannot or must not", () => {
    const service = serviceOf("web");
    expect(rules(service).filter((line) => /random-fully|INVALID/.test(line))).toHaveLength(2);
    const without = rules(service, { randomFully: false, dropInvalid: false });
    expect(without.filter((line) => /random-fully|INVALID/.test(line))).toEqual([]);
  });

  test("writes the rules of a service in kube-proxy's order, and declares its chains so", () => {
    const lines = rules(`services:
  - name: web
    clusterIP: 10.96.0.1
    externalTrafficPolicy: Local
    loadBalancerIPs: [203.0.113.1]
    loadBalancerSourceRanges: [198.51.100.0/24]
    ports: [{ port: 80, nodePort: 30080 }]
    endpoints: [web]`);
    const nat = lines.slice(lines.indexOf("*nat"));
    const kinds = (start: string) =>
      nat
        .filter((line) => line.startsWith(start))
        .map((line) => line.slice(start.length).split(/[ -]/)[0])
        .filter((kind, index, all) => kind !== all[index - 1]);
    expect(kinds(":KUBE-").slice(-5)).toEqual(["EXT", "FW", "SVC", "SVL", "SEP"]);
    expect(kinds("-A KUBE-").slice(2)).toEqual([
      ...["SERVICES", "NODEPORTS"],
      ...["SVC", "EXT", "FW", "SVC", "SVL", "SEP"],
      "SERVICES",
    ]);
    expect(nat.find((line) => line.startsWith("-A KUBE-SVC-"))).toMatch(/ ! -s 10\.1\.0\.0\/16 -j KUBE-MARK-MASQ$/);
  });

  test("has a chain for each port, also where several have no name and one is called like another's number", () => {
    const lines = rules(`services:
  - { name: web, clusterIP: 10.96.0.1, ports: [{ port: 80 }, { port: 81 }, { port: 90, name: "81" }, { port: 80, protocol: UDP }], endpoints: [web] }
  - { name: "web:81", clusterIP: 10.96.0.2, ports: [{ port: 81 }], endpoints: [web] }`);
    const called = lines.flatMap((line) => /"(\S+) cluster IP".* --dport (\d+) -j (KUBE-SVC-\S+)$/.exec(line) ?? []);
    const ports = called.filter((_, index) => index % 4 === 1);
    expect(ports).toEqual([
      "default/web",
      "default/web:81:81",
      "default/web:81",
      "default/web",
      "default/web:81:81:81",
    ]);
    expect(new Set(called.filter((_, index) => index % 4 === 3)).size).toBe(5);
  });

  test("lets health checks in once for each port of the service", () => {
    const lines = rules(`services:
  - name: web
    clusterIPs: [10.96.0.1, "fd00:96::1"]
    externalTrafficPolicy: Local
    healthCheckNodePort: 32000
    loadBalancerIPs: [203.0.113.1]
    ports: [{ name: http, port: 80 }, { name: dns, port: 53, protocol: UDP, targetPort: 53 }]
    endpoints: [web]`);
    expect(lines.filter((line) => line.startsWith("-A KUBE-NODEPORTS"))).toEqual([
      '-A KUBE-NODEPORTS -m comment --comment "default/web:http health check node port" -m tcp -p tcp --dport 32000 -j ACCEPT',
      '-A KUBE-NODEPORTS -m comment --comment "default/web:dns health check node port" -m tcp -p tcp --dport 32000 -j ACCEPT',
    ]);
  });

  test("has no guard of localhost where nodePortAddresses leave loopback out", () => {
    const guards = ["192.0.2.0/24", "127.0.0.0/8", "0.0.0.0/0", "fd00::/64"].map((block) =>
      rules(`${serviceOf("web")}\nnode: { localhostNodePorts: true, nodePortAddresses: ["${block}"] }`).some((line) =>
        line.includes("KUBE-FIREWALL"),
      ),
    );
    expect(guards).toEqual([false, true, true, true]);
  });

  test("writes a block with its length where it holds one address, and an address without", () => {
    const service = `services:
  - { name: web, clusterIPs: ["fd00:96::1"], loadBalancerIPs: ["2001:db8::1"], loadBalancerSourceRanges: ["2001:db8:1::7/128"], ports: [{ port: 80 }], endpoints: ["[2001:db8::7]:80"] }`;
    const lines = rules(service, { family: 6 });
    expect(lines.filter((line) => line.includes("/128"))).toEqual([
      expect.stringContaining("-s 2001:db8:1::7/128 -j KUBE-EXT-"),
      expect.stringContaining("-m addrtype --dst-type LOCAL ! -d ::1/128 -j KUBE-NODEPORTS"),
    ]);
  });

  test("lets a load-balancer IP dial itself where the ranges have the host's main address, not any other", () => {
    const dialsItself = (range: string) => {
      const text = `
hosts: [{ name: node1, addresses: [192.0.2.1], podCIDR: 10.1.0.0/16 }]
services:
  - { name: web, clusterIP: 10.96.0.1, loadBalancerIPs: [203.0.113.1], loadBalancerSourceRanges: [${range}], ports: [{ port: 80 }], endpoints: ["198.51.100.7:80"] }`;
      const { topology } = parseTopology(Buffer.from(text), { file: "test" });
      const hosts = topology.hosts.map((host) => ({ ...host, addresses: [...host.addresses, ...SECOND] }));
      const plan = planHost({ ...topology, hosts }, { host: "node1" });
      const lines = [...formatRestoreScript(compileScript(plan, { dialect: "kubernetes", family: 4 }))].join("");
      return lines.includes("-s 203.0.113.1 -j KUBE-EXT-");
    };
    expect(["192.0.2.0/24", "172.20.0.0/16"].map(dialsItself)).toEqual([true, false]);
  });

  test("jumps to no chain that is not there, and has no chain of a service that nothing jumps to", () => {
    const lines = rules(`services:
  - { name: local, clusterIP: 10.96.0.1, internalTrafficPolicy: Local, externalTrafficPolicy: Local, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["198.51.100.7:80"] }
  - { name: inside, clusterIP: 10.96.0.2, internalTrafficPolicy: Local, ports: [{ port: 80 }], endpoints: [web, "198.51.100.7:80"] }
  - { name: guarded, clusterIP: 10.96.0.3, loadBalancerIPs: [203.0.113.1], loadBalancerSourceRanges: [192.0.2.0/24], ports: [{ port: 80 }], endpoints: [web] }
  - { name: empty, clusterIP: 10.96.0.4, loadBalancerIPs: [203.0.113.2], loadBalancerSourceRanges: [192.0.2.0/24], ports: [{ port: 80, nodePort: 30081 }] }`);
    const nat = lines.slice(lines.indexOf("*nat"));
    const declared = nat.filter((line) => line.startsWith(":")).map((line) => line.slice(1).split(" ")[0]);
    const reached = new Set(nat.flatMap((line) => / -j (KUBE-\S+)$/.exec(line)?.[1] ?? []));
    expect([...reached].filter((chain) => !declared.includes(chain))).toEqual([]);
    expect(declared.filter((chain) => chain !== undefined && !reached.has(chain))).toEqual([]);
  });
});
