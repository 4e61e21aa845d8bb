import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TestApiServer } from "@svcproxy/agent/testing";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runInMemory } from "../testing/memory-context.ts";

let server: TestApiServer;
let folder = "";
const kubeconfig = () => join(folder, "kubeconfig");

beforeAll(async () => {
  server = await TestApiServer.start();
  folder = mkdtempSync(join(tmpdir(), "svcproxy-cluster-"));
  const clusters = [
    { name: "here", cluster: { server: server.url.href } },
    { name: "nobody", cluster: { server: "http://127.0.0.1:1" } },
  ];
  const contexts = clusters.map(({ name }) => ({ name, context: { cluster: name, user: "u" } }));
  writeFileSync(
    kubeconfig(),
    JSON.stringify({ kind: "Config", clusters, contexts, users: [{ name: "u", user: {} }], "current-context": "here" }),
  );
  writeFileSync(
    join(folder, "config.yaml"),
    `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
clientConnection: { kubeconfig: ${kubeconfig()} }
`,
  );
  server.store.put({
    ...{ apiVersion: "v1", kind: "Node", metadata: { name: "node1" }, spec: { podCIDR: "10.5.75.0/24" } },
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
  });
  server.store.put({
    ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "shop" } },
    spec: { clusterIP: "10.96.0.1", ports: [{ port: 80 }] },
  });
  server.store.put({
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: { name: "web-x", namespace: "shop", labels: { "kubernetes.io/service-name": "web" } },
    ports: [{ name: "", port: 3000, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.5.75.2"], nodeName: "node1" }],
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true });
});

describe("a cluster in place of files", () => {
  test.for([
    { argv: ["check"], says: "shop/web  80/tcp" },
    { argv: ["iptables", "--host", "node1"], says: "--to-destination 10.5.75.2:3000" },
    { argv: ["nftables", "--host", "node1"], says: "10.96.0.1 . tcp . 80" },
    { argv: ["trace", "--host", "node1", "--from", "10.5.75.9", "--to", "10.96.0.1:80"], says: "10.5.75.2:3000" },
    { argv: ["prove", "--host", "node1"], says: "held       1. Every frontend reaches exactly its endpoints" },
  ])("$argv", async ({ argv: [command = "", ...flags], says }) => {
    const { exitCode, stdout, stderr } = await runInMemory([
      ...[command, "kubernetes", "--kubeconfig", kubeconfig(), ...flags],
    ]);
    expect([exitCode, stdout, stderr]).toEqual([0, expect.stringContaining(says), ""]);
  });

  test("the kubeconfig may be the one of kube-proxy's configuration", async () => {
    const { exitCode, stdout } = await runInMemory([
      ...["check", "kubernetes", "--config", join(folder, "config.yaml"), "--summary"],
    ]);
    expect([exitCode, stdout]).toEqual([0, expect.stringMatching(/services +1/i)]);
  });

  test("what a proof says of a packet is looked at with the same flags", async () => {
    server.store.put({
      ...{ apiVersion: "v1", kind: "Service", metadata: { name: "other", namespace: "shop" } },
      spec: { clusterIP: "10.96.0.2", ports: [{ port: 80 }] },
    });
    const rules = join(folder, "rules.txt");
    writeFileSync(rules, "*nat\n:PREROUTING ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\nCOMMIT\n");
    const { exitCode, stdout } = await runInMemory([
      ...[
        "prove",
        "kubernetes",
        "--kubeconfig",
        kubeconfig(),
        "--context",
        "here",
        "--host",
        "node1",
        "--rules",
        rules,
      ],
    ]);
    expect(exitCode).toBe(3);
    expect(stdout).toContain(`svcproxy trace kubernetes --kubeconfig ${kubeconfig()} --context here`);
    server.store.delete("Service", "shop/other");
  });

  test.for([
    { argv: ["check", "kubernetes", "web.yaml"], code: 2, says: "A cluster is a whole topology" },
    { argv: ["check", "kubernetes", "etcd://127.0.0.1"], code: 2, says: "etcd is a whole topology" },
    { argv: ["check", "web.yaml", "--kubeconfig", "x"], code: 2, says: "--kubeconfig is about a cluster" },
    { argv: ["run", "web.yaml", "--context", "x"], code: 2, says: "--context is about a cluster" },
    { argv: ["check", "kubernetes", "--context", "x"], code: 2, says: "--context names a context of a kubeconfig" },
    { argv: ["check", "kubernetes", "--flannel-prefix", "/x"], code: 2, says: "--flannel-prefix is about etcd" },
    { argv: ["lab", "up", "kubernetes"], code: 2, says: "kubectl get services,endpointslices,nodes" },
    { argv: ["lab", "up", "etcd://127.0.0.1"], code: 2, says: "svcproxy etcd get > lab.yaml" },
  ])("$argv is refused", async ({ argv, code, says }) => {
    const { exitCode, stderr } = await runInMemory(argv);
    expect([exitCode, stderr]).toEqual([code, expect.stringContaining(says)]);
  });

  test("without a kubeconfig, outside a cluster, it is said how to give one; a context that is not there, and a server, too", async () => {
    const none = await runInMemory(["check", "kubernetes"]);
    expect([none.exitCode, none.stderr]).toEqual([2, expect.stringMatching(/NO_CLUSTER[\s\S]*--kubeconfig \//)]);
    const flags = ["check", "kubernetes", "--kubeconfig", kubeconfig(), "--context"];
    const other = await runInMemory([...flags, "elsewhere"]);
    expect([other.exitCode, other.stderr]).toEqual([2, expect.stringContaining('It has: "here", "nobody"')]);
    const away = await runInMemory([...flags, "nobody"]);
    expect([away.exitCode, away.stderr]).toEqual([1, expect.stringContaining("the connection was refused")]);
  });

  test("a unit of the userspace proxy has it as it is, and files as absolute paths", async () => {
    const { stdout } = await runInMemory([
      ...["userspace", "kubernetes", "--kubeconfig", "kube.conf", "--host", "node1", "--print-unit"],
    ]);
    expect(stdout).toMatch(/ExecStart=.* userspace kubernetes --kubeconfig \/.*kube\.conf --host node1/);
  });
});
