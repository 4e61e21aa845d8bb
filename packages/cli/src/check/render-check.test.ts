import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

const root = new URL("../../../../", import.meta.url);

test("check shows hosts, pods, services with every frontend, and endpoints", async () => {
  const { exitCode, stdout, stderr } = await runInMemory(["check", new URL("examples/cloudos.yaml", root).pathname]);
  expect([exitCode, stderr]).toEqual([0, ""]);
  const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
  expect(rows).toEqual(
    expect.arrayContaining([
      ["cloudos1", "192.168.1.6", "10.5.75.0/24", "-", "2"],
      ["os2_my1", "cloudos2", "10.5.88.2:3000", "ready"],
      ["default/service1", "7070/tcp", "-", "ClusterIP 10.100.100.1:7070", "2 of 2 ready", "-"],
      ["default/service1", "7070/tcp", "-", "NodePort *:34211", "2 of 2 ready", "-"],
      ["default/service2", "6060/tcp", "10.5.88.3:3000", "os2_my2", "cloudos2", "ready", "-"],
    ]),
  );
});

const EVERYTHING = `
hosts:
  - { name: h1, address: 192.168.0.1, podCIDR: 10.1.0.0/24, zone: east, pods: [{ name: "a\\nb", address: "10.1.0.2:80", hints: { forZones: [east] } }] }
services:
  - name: web
    id: w
    clusterIP: 10.100.0.1
    loadBalancerIPs: [203.0.113.2]
    loadBalancerSourceRanges: [198.51.100.0/24]
    externalTrafficPolicy: Local
    internalTrafficPolicy: Local
    healthCheckNodePort: 32000
    sessionAffinity: ClientIP
    proxyProtocol: v2
    ports: [{ name: s, port: 80, protocol: SCTP, nodePort: 30080 }]
    endpoints: ["a\\nb", "10.9.9.9:80"]
  - { name: none, clusterIP: None, ports: [] }
node: { detectLocalMode: NodeCIDR, clusterCIDR: 10.0.0.0/8, masqueradeBit: 3, nodePortAddresses: [primary], serviceCIDRs: [10.100.0.0/16], affinityTableSize: 5000 }
`;

test("check says in words what a service asks for, what this host does, and what a data path cannot", async () => {
  const { stdout } = await runInMemory(["check", "-", "--host", "h1"], { stdin: EVERYTHING });
  for (const words of [
    "internal traffic: local endpoints only; external traffic: local endpoints only",
    "affinity by client address, 10800 s",
    "load-balancer IPs only from 198.51.100.0/24",
    "health check on port 32000",
    "PROXY protocol v2",
    "no ClusterIP (headless or ExternalName): nothing to do",
    "zone east",
    "pods are told by NodeCIDR",
    "masqueradeBit 3",
    "serviceCIDRs 10.100.0.0/16",
    "affinityTableSize 5000",
    "NodePorts only on the host's primary address",
    "elsewhere",
    "default/web: port 32000, 1 ready here",
    "- data path userspace: SCTP is not served, because Node has no SCTP sockets: default/web port 80",
    "- data path iptables, data path nftables: Rules let health checks in but answer none: unless another program does, load balancers get no answer on port 32000 (default/web)",
    "- data path iptables, data path nftables: Rules send no PROXY protocol header, svcproxy userspace does: default/web",
    "a\\nb",
  ]) {
    expect(stdout).toContain(words);
  }
  const row = stdout.split("\n").find((line) => line.includes("load-balancer IP 203.0.113.2:80  sctp"));
  expect(row?.split(/ {2,}/).slice(2)).toEqual([
    "sctp",
    "2 endpoints",
    "2 endpoints, masqueraded",
    "1 endpoint",
    "198.51.100.0/24",
  ]);
});

test("check counts behind each frontend the endpoints of its family", async () => {
  const stdin = `
hosts: [{ name: h1, addresses: [192.168.0.1, "fd00::1"], pods: [
  { name: both, addresses: ["10.1.0.2:80", "[fd00:1::2]:80"] }, { name: four, address: "10.1.0.3:80" },
  { name: off, addresses: ["10.1.0.4:80", "[fd00:1::4]:80"], ready: false }] }]
services:
  - { name: uneven, clusterIPs: [10.100.0.1, "fd00:100::1"], ports: [{ port: 80, nodePort: 30080 }], endpoints: [both, four, off] }
  - { name: even, clusterIPs: [10.100.0.2, "fd00:100::2"], ports: [{ port: 80, nodePort: 30081 }], endpoints: [both, off] }
`;
  const { stdout } = await runInMemory(["check", "-"], { stdin });
  const counts = stdout.split("\n").flatMap((line) => {
    const [, , , frontend = "", readiness = ""] = line.split(/ {2,}/);
    return /^(ClusterIP|NodePort) /.test(frontend) ? [[frontend, readiness]] : [];
  });
  expect(counts).toEqual([
    ["ClusterIP 10.100.0.1:80", "2 of 3 ready"],
    ["ClusterIP [fd00:100::1]:80", "1 of 2 ready"],
    ["NodePort *:30080", "IPv4: 2 of 3 ready, IPv6: 1 of 2 ready"],
    ["ClusterIP 10.100.0.2:80", "1 of 2 ready"],
    ["ClusterIP [fd00:100::2]:80", "1 of 2 ready"],
    ["NodePort *:30081", "1 of 2 ready"],
  ]);
});

test("check tells the two families of a NodePort apart in what the host does", async () => {
  const stdin = `
hosts: [{ name: h1, addresses: [192.168.0.1, "fd00::1"], pods: [{ name: four, address: "10.1.0.3:80" }] }]
services: [{ name: s, clusterIPs: [10.100.0.1, "fd00:100::1"], ports: [{ port: 80, nodePort: 30080 }], endpoints: [four] }]
`;
  const { stdout } = await runInMemory(["check", "-", "--host", "h1"], { stdin });
  const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
  expect(rows.filter(([, frontend = ""]) => frontend.startsWith("NodePort")).map((row) => row.slice(1, 4))).toEqual([
    ["NodePort *:30080 (IPv4)", "tcp", "1 endpoint, masqueraded"],
    ["NodePort *:30080 (IPv6)", "tcp", "refuse"],
  ]);
});

test("check says so where there is nothing", async () => {
  const { exitCode, stdout } = await runInMemory(["check", "-"], {
    stdin: "{ apiVersion: v1, kind: List, items: [] }",
  });
  expect([exitCode, stdout]).toEqual([0, "No hosts, pods or services\n"]);
});

test("check --json is the same as data", async () => {
  const { stdout } = await runInMemory(["check", "-", "--host", "h1", "--json"], { stdin: EVERYTHING });
  expect(JSON.parse(stdout)).toMatchObject({
    services: [
      {
        name: "web",
        ports: [
          {
            protocol: "sctp",
            nodePort: 30080,
            endpoints: [{ pod: "a\nb", host: "h1", state: "ready" }, { address: "10.9.9.9:80" }],
          },
        ],
      },
      { name: "none", ports: [] },
    ],
    plan: { host: "h1", healthChecks: [{ port: 32000, localReadyEndpoints: 1 }] },
  });
});

test("check tells problems of the plan, and has all of them as data", async () => {
  const stdin = `
hosts: [{ name: h1, address: 192.168.0.1 }, { name: h2, address: 192.168.0.2 }]
services:
  - { name: echo, clusterIP: 10.100.0.1, ports: [{ port: 80, nodePort: 30080 }], endpoints: ["192.168.0.2:30080"] }
  - { name: echo, namespace: other, clusterIP: 10.100.0.2, ports: [{ port: 80 }], endpoints: ["10.1.0.9:80"] }
`;
  for (const host of [[], ["--host", "h2"]]) {
    const { exitCode, stdout, stderr } = await runInMemory(["check", "-", "--json", ...host], { stdin });
    expect(exitCode).toBe(0);
    expect(stderr).toContain("warning: Endpoints of default/echo lead back to it, and are left out: 192.168.0.2:30080");
    expect(JSON.parse(stdout).problems).toMatchObject([
      { code: "ENDPOINT_LOOP", severity: "warning", subject: "service default/echo" },
      { code: "CLIENT_ADDRESS_HIDDEN", subject: "data path userspace" },
      { code: "CLIENT_OUTSIDE_UNANSWERED", subject: "data path iptables" },
      { code: "CLIENT_OUTSIDE_UNANSWERED", subject: "data path nftables" },
    ]);
  }
  const faulty = await runInMemory(["check", "-", "--json"], { stdin: "hosts: []\nservces: []\n" });
  expect([faulty.exitCode, JSON.parse(faulty.stdout).problems]).toMatchObject([
    2,
    [{ code: "UNKNOWN_KEY", severity: "error", subject: "servces", at: { file: "<stdin>", line: 2, column: 1 } }],
  ]);
});

test.for(["a", "b"])(
  "a service whose endpoint is on one host alone, pod %s, has clients that get no answer",
  async (pod, { expect }) => {
    const stdin = `
hosts:
  - { name: h1, address: 198.18.0.1, podCIDR: 10.5.1.0/24, pods: [{ name: a, address: "10.5.1.2:80" }] }
  - { name: h2, address: 198.18.0.2, podCIDR: 10.5.2.0/24, pods: [{ name: b, address: "10.5.2.2:80" }] }
services: [{ name: s, clusterIP: 10.100.0.1, ports: [{ port: 80 }], endpoints: [${pod}] }]
`;
    const { stdout } = await runInMemory(["check", "-", "--json"], { stdin });
    const { problems } = JSON.parse(stdout) as {
      readonly problems: readonly { readonly code: string; readonly subject: string }[];
    };
    expect(problems.filter(({ code }) => code === "CLIENT_OUTSIDE_UNANSWERED").map(({ subject }) => subject)).toEqual([
      "data path iptables",
    ]);
  },
);

test("schema prints the JSON Schema of the topology file", async () => {
  const { stdout } = await runInMemory(["schema"]);
  const source = await readFile(new URL("packages/topology/src/file/topology.schema.json", root), "utf8");
  expect(JSON.parse(stdout)).toEqual(JSON.parse(source));
});
