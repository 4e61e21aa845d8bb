import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { type HostProgram, until } from "../src/testing/proxy-host.ts";
import { objectsOf, type TestService } from "./cluster-objects.ts";
import { RealCluster } from "./real-cluster.ts";

const root = resolve(import.meta.dirname, "../../..");

const SERVICES: readonly TestService[] = [
  { name: "plain", spec: { clusterIP: "10.96.1.1" }, endpoints: ["10.5.75.2", "10.5.75.3"] },
  { name: "nodeport", spec: { clusterIP: "10.96.1.2", type: "NodePort" }, endpoints: ["10.5.75.2"] },
  { name: "empty", spec: { clusterIP: "10.96.1.3" } },
  {
    name: "sticky",
    spec: { clusterIP: "10.96.1.4", sessionAffinity: "ClientIP" },
    endpoints: ["10.5.75.2", "10.5.75.3"],
  },
  {
    name: "dual",
    spec: { clusterIPs: ["10.96.1.5", "fd00:9::5"], clusterIP: "10.96.1.5", ipFamilyPolicy: "RequireDualStack" },
    endpoints: ["10.5.75.2", "fd00:5::2"],
  },
  {
    name: "ipv6-first",
    spec: { clusterIPs: ["fd00:9::14", "10.96.1.14"], clusterIP: "fd00:9::14", ipFamilyPolicy: "RequireDualStack" },
    endpoints: ["10.5.75.3", "fd00:5::2"],
  },
  {
    name: "same-number",
    spec: { clusterIP: "10.96.1.15" },
    ports: [
      { name: "stream", port: 53, target: 3000 },
      { name: "dns", port: 53, target: 3053, protocol: "UDP" },
    ],
    endpoints: ["10.5.75.2"],
  },
  {
    name: "labelled",
    spec: { clusterIP: "10.96.1.16" },
    labels: { "service.kubernetes.io/headless": "" },
    endpoints: ["10.5.75.2"],
  },
  {
    name: "udp",
    spec: { clusterIP: "10.96.1.6" },
    ports: [{ name: "dns", port: 53, target: 3053, protocol: "UDP" }],
    endpoints: ["10.5.75.2"],
  },
  {
    name: "leaving",
    spec: { clusterIP: "10.96.1.7" },
    endpoints: ["10.5.75.4"],
    conditions: { ready: false, serving: true, terminating: true },
  },
  {
    name: "not-ready",
    spec: { clusterIP: "10.96.1.8" },
    endpoints: ["10.5.75.4"],
    conditions: { ready: false, serving: false },
  },
  { name: "external", spec: { clusterIP: "10.96.1.9", externalIPs: ["203.0.113.9"] }, endpoints: ["10.5.75.2"] },
  {
    name: "elsewhere",
    metadata: { labels: { "service.kubernetes.io/service-proxy-name": "other" } },
    spec: { clusterIP: "10.96.1.10" },
    endpoints: ["10.5.75.2"],
  },
  { name: "headless", spec: { clusterIP: "None" } },
  { name: "alias", spec: { type: "ExternalName", externalName: "example.test", ports: undefined } },
  { name: "local", spec: { clusterIP: "10.96.1.11", internalTrafficPolicy: "Local" }, endpoints: ["10.5.75.5"] },
  {
    name: "balanced",
    spec: { clusterIP: "10.96.1.12", type: "LoadBalancer", loadBalancerSourceRanges: ["192.168.77.0/24"] },
    endpoints: ["10.5.75.2"],
  },
  {
    name: "hinted",
    spec: { clusterIP: "10.96.1.13", trafficDistribution: "PreferSameNode" },
    endpoints: ["10.5.75.2", "10.5.75.3"],
    hints: {
      "10.5.75.2": { forZones: [{ name: "a" }], forNodes: [{ name: "elsewhere" }] },
      "10.5.75.3": { forZones: [{ name: "a" }], forNodes: [{ name: "node1" }] },
    },
  },
];

/** The pods' addresses are this host's own here. */
const OWN_PODS = ["--ignore", "ADDRESS_TWICE"];

let cluster: RealCluster;
beforeAll(async () => {
  cluster = await RealCluster.start();
  await cluster.addNode();
  await cluster.apply(SERVICES.flatMap(objectsOf));
  const ingress = [{ ip: "203.0.113.12" }, { ip: "203.0.113.13", ipMode: "Proxy" }];
  const status = JSON.stringify({ status: { loadBalancer: { ingress } } });
  await cluster.kubectl(["patch", "service", "balanced", "--subresource=status", "-p", status]);
  await serveEndpoints();
});
afterAll(() => cluster[Symbol.asyncDispose]());

test("deploy/kubernetes is what a real API server takes", async () => {
  for (const flags of [
    ["-k", "deploy/kubernetes"],
    ["-f", "deploy/kubernetes/remove.yaml"],
    ["-f", "deploy/kubernetes/doctor-rbac.yaml"],
  ]) {
    const [flag = "", path = ""] = flags;
    const said = await cluster.kubectl(["apply", "--dry-run=server", flag, join(root, path)]);
    expect(
      said
        .trim()
        .split("\n")
        .every((line) => line.endsWith("(server dry run)")),
    ).toBe(true);
  }
});

test("each field of the configuration that the real kube-proxy writes has a row in the table", async () => {
  const path = join(cluster.host.folder, "defaults.yaml");
  await cluster.host.shell(`${process.env["KUBE_PROXY"]} --write-config-to ${path}`);
  const table = readFileSync(join(root, "docs/kube-proxy-configuration.md"), "utf8");
  const sections = readFileSync(path, "utf8").split(/^(?=\w)/m);
  const keys = sections.flatMap((section) => {
    const [, key = ""] = /^(\w+):/.exec(section) ?? [];
    const inner = key === "logging" ? [] : [...section.matchAll(/^ {2}(\w+):/gm)].map(([, name]) => `${key}.${name}`);
    return inner.length > 0 ? inner : [key];
  });
  expect(keys.filter((key) => !table.includes(`| \`${key}\` |`))).toEqual([]);
});

describe.each(["nftables", "iptables"])("by %s", (dataPath) => {
  let agent: HostProgram;
  beforeAll(async () => {
    agent = cluster.runAgent(["--data-path", dataPath]);
    await agent.says('"following"');
  });
  afterAll(async () => {
    await agent.kill("SIGTERM");
    await endOf(cluster.svcproxy(["cleanup"]));
  });

  test.for([
    { name: "a ClusterIP", to: "10.96.1.1:80", gets: "10.5.75.2 10.5.75.3" },
    { name: "a NodePort", to: "nodeport", gets: "10.5.75.2" },
    { name: "a Service without endpoints", to: "10.96.1.3:80", gets: "ECONNREFUSED" },
    { name: "a client that is remembered", to: "10.96.1.4:80", gets: "one" },
    { name: "IPv4 of a dual-stack Service", to: "10.96.1.5:80", gets: "10.5.75.2" },
    { name: "IPv6 of a dual-stack Service", to: "[fd00:9::5]:80", gets: "fd00:5::2" },
    { name: "an endpoint that is terminating, where nobody else is", to: "10.96.1.7:80", gets: "10.5.75.4" },
    { name: "an endpoint that is not ready", to: "10.96.1.8:80", gets: "ECONNREFUSED" },
    { name: "policy Local with an endpoint here", to: "10.96.1.11:80", gets: "10.5.75.5" },
    { name: "a load balancer's IP", to: "203.0.113.12:80", gets: "10.5.75.2" },
    { name: "an endpoint that is hinted to this node", to: "10.96.1.13:80", gets: "10.5.75.3" },
    { name: "a UDP Service", to: "udp 10.96.1.6:53", gets: "10.5.75.2" },
    { name: "IPv4 of a Service whose first address is IPv6", to: "10.96.1.14:80", gets: "10.5.75.3" },
    { name: "IPv6 of a Service whose first address is IPv6", to: "[fd00:9::14]:80", gets: "fd00:5::2" },
    { name: "TCP of a port number that UDP has too", to: "10.96.1.15:53", gets: "10.5.75.2" },
    { name: "UDP of a port number that TCP has too", to: "udp 10.96.1.15:53", gets: "10.5.75.2" },
    { name: "a Service whose slice is labelled as a headless one's", to: "10.96.1.16:80", gets: "ECONNREFUSED" },
  ])("$name", async ({ to, gets }) => {
    const target = to === "nodeport" ? `192.168.77.1:${await nodePort()}` : to;
    const answers = await dial(target, 12);
    if (gets === "one") expect(new Set(answers).size).toBe(1);
    else expect([...new Set(answers)].sort().join(" ")).toBe(gets);
  });

  test("external IPs that nobody allowed, a load balancer of mode Proxy, and another proxy's Service are not served", async () => {
    const rules = await cluster.host.shell("nft list ruleset; iptables-save; true");
    for (const address of ["203.0.113.9", "203.0.113.13", "10.96.1.10"]) expect(rules).not.toContain(`${address} `);
    expect(agent.stderr).toMatch(/External IPs are not served.*those of 1 Service: /);
  });

  test.for([
    { argv: ["check", "kubernetes"], says: /default\/plain/ },
    { argv: ["prove", "kubernetes", "--host", "node1", "--live"], says: /held|Every/ },
    {
      argv: ["doctor", "kubernetes", "--host", "node1", "--service", "sticky", ...OWN_PODS],
      says: /node1: no cause found/,
    },
  ])(
    "$argv asks the API server as kube-proxy's user, and finds the kernel as the cluster promises",
    async ({ argv, says }) => {
      const asked = await endOf(
        cluster.svcproxy([...argv, "--kubeconfig", cluster.kubeconfig("proxy")], { seesOthers: false }),
      );
      expect([asked.code, asked.stdout, asked.stderr]).toEqual([0, expect.stringMatching(says), expect.anything()]);
    },
  );

  test("a Service is made again with another ClusterIP, and changes its type", async () => {
    const apply = (spec: object) => cluster.apply(objectsOf({ name: "remade", spec, endpoints: ["10.5.75.2"] }));
    await apply({ clusterIP: "10.96.2.10" });
    await answersAt("10.96.2.10:80");
    await cluster.kubectl(["delete", "service", "remade"]);
    await apply({ clusterIP: "10.96.2.11" });
    await answersAt("10.96.2.11:80");
    expect(await dial("10.96.2.10:80", 1)).not.toEqual(["10.5.75.2"]);
    for (const type of ["NodePort", "LoadBalancer", "ClusterIP"]) {
      const port = { name: "http", port: 80, protocol: "TCP" };
      const ports = [type === "ClusterIP" ? port : { ...port, nodePort: 30_123 }];
      await apply({ clusterIP: "10.96.2.11", type, ports });
      if (type !== "ClusterIP") await answersAt("192.168.77.1:30123");
      else {
        await until(
          async () => (await dial("192.168.77.1:30123", 1))[0] === "ECONNREFUSED",
          () => "the NodePort is still served",
        );
      }
      expect(await dial("10.96.2.11:80", 2)).toEqual(["10.5.75.2", "10.5.75.2"]);
    }
    await cluster.kubectl(["delete", "service", "remade"]);
  });

  test("how long a change of endpoints took to be in force is in kube-proxy's metric", async () => {
    const metrics = () => cluster.host.shell("curl -s http://127.0.0.1:10249/metrics");
    const count = async () =>
      Number(
        /^kubeproxy_network_programming_duration_seconds_count\{ip_family="IPv4"\} (\d+)$/m.exec(await metrics())?.[1],
      );
    const before = await count();
    const at = new Date().toISOString();
    const annotations = { "endpoints.kubernetes.io/last-change-trigger-time": at };
    const objects = objectsOf({ name: "noted", spec: { clusterIP: "10.96.2.9" }, endpoints: ["10.5.75.2"] });
    await cluster.apply(objects.map((one) => ({ ...one, metadata: { ...one.metadata, annotations } })));
    await answersAt("10.96.2.9:80");
    await until(
      async () => (await count()) === before + 1,
      () => "the change is not measured",
    );
    expect(await metrics()).toMatch(/^rest_client_requests_total\{code="200",host="[^"]+",method="GET"\} \d+$/m);
    await cluster.kubectl(["delete", "service,endpointslice", "-l", "kubernetes.io/service-name=noted"]);
    await cluster.kubectl(["delete", "service", "noted"]);
  });

  test("the node is deleted, and back: what it has is served, and balancers are told", async () => {
    await cluster.kubectl(["delete", "node", "node1"]);
    await until(
      async () => (await healthz()) === "503",
      () => "that the node is gone is not seen",
    );
    expect(await dial("10.96.1.2:80", 2)).toEqual(["10.5.75.2", "10.5.75.2"]);
    await cluster.addNode();
    await until(
      async () => (await healthz()) === "200",
      () => "that the node is back is not seen",
    );
    expect(await dial("10.96.1.2:80", 2)).toEqual(["10.5.75.2", "10.5.75.2"]);
  });

  test("the API server is killed, and back", async () => {
    await cluster.killServer();
    expect(await dial("10.96.1.1:80", 3)).not.toContain("ECONNREFUSED");
    await cluster.startServer();
    await cluster.apply(
      objectsOf({ name: "after-server", spec: { clusterIP: "10.96.2.1" }, endpoints: ["10.5.75.2"] }),
    );
    await answersAt("10.96.2.1:80");
    await cluster.kubectl(["delete", "service", "after-server"]);
  });

  test("etcd is killed, and back", async () => {
    await cluster.killEtcd();
    await cluster.host.shell("sleep 2");
    cluster.startEtcd();
    await until(
      async () => (await cluster.kubectl(["get", "--raw", "/readyz"]).catch(() => "")) === "ok",
      () => "the API server does not come back",
    );
    await cluster.apply(objectsOf({ name: "after-etcd", spec: { clusterIP: "10.96.2.2" }, endpoints: ["10.5.75.2"] }));
    await answersAt("10.96.2.2:80");
    await cluster.kubectl(["delete", "service", "after-etcd"]);
  });

  test("what changed while it was stopped, the server was started anew and etcd was compacted, is made up for", async () => {
    agent.signal("SIGSTOP");
    await cluster.apply(objectsOf({ name: "meanwhile", spec: { clusterIP: "10.96.2.3" }, endpoints: ["10.5.75.2"] }));
    await cluster.kubectl(["delete", "endpointslice", "plain-4"]);
    await cluster.host.shell("sleep 25");
    await cluster.killServer();
    await cluster.startServer();
    agent.signal("SIGCONT");
    await answersAt("10.96.2.3:80");
    await until(
      async () => (await dial("10.96.1.1:80", 1))[0] === "ECONNREFUSED",
      () => "a slice that went while nobody looked is still served",
    );
    await cluster.apply(
      objectsOf({ name: "plain", spec: { clusterIP: "10.96.1.1" }, endpoints: ["10.5.75.2", "10.5.75.3"] }),
    );
    await answersAt("10.96.1.1:80");
    await cluster.kubectl(["delete", "service", "meanwhile"]);
  });
});

test("a token that is not valid any more is said, and one that takes its place in the file is used", async () => {
  const sa = ["serviceaccount", "agent", "--namespace", "kube-system"];
  const renew = async () => {
    await cluster.kubectl(["create", ...sa]);
    return cluster.kubectl(["create", "token", "agent", "--namespace", "kube-system"]);
  };
  const token = join(cluster.host.folder, "token");
  writeFileSync(token, await renew());
  const binding = ["create", "clusterrolebinding", "agent", "--clusterrole=system:node-proxier"];
  await cluster.kubectl([...binding, "--serviceaccount=kube-system:agent"]);
  const kubeconfig = join(cluster.host.folder, "token.kubeconfig");
  const admin = readFileSync(cluster.kubeconfig("proxy"), "utf8");
  writeFileSync(kubeconfig, admin.replace(/user: \{ client[^}]*\}/, "user: { tokenFile: token }"));
  const agent = cluster.svcproxy([
    ...["run", "kubernetes", "--kubeconfig", kubeconfig, "--hostname-override", "node1"],
  ]);
  onTestFinished(async () => {
    await agent.kill("SIGTERM");
    await endOf(cluster.svcproxy(["cleanup"]));
  });
  await agent.says('"following"');
  await cluster.kubectl(["delete", ...sa]);
  await cluster.killServer();
  await cluster.startServer();
  await agent.says("API_REFUSED", 60_000);
  expect(await dial("10.96.1.2:80", 1)).toEqual(["10.5.75.2"]);
  writeFileSync(token, await renew());
  await cluster.apply(objectsOf({ name: "renewed", spec: { clusterIP: "10.96.2.4" }, endpoints: ["10.5.75.2"] }));
  await answersAt("10.96.2.4:80");
  await cluster.kubectl(["delete", "service", "renewed"]);
});

describe.each(["nftables", "iptables"] as const)("a kube-proxy of mode %s", (mode) => {
  test.for(["nftables", "iptables"])(
    "is replaced by %s, and gets the node back, under connections",
    async (dataPath) => {
      const programs: HostProgram[] = [];
      const started = (program: HostProgram) => {
        programs.push(program);
        return program;
      };
      onTestFinished(async () => {
        await Promise.all(programs.map((program) => program.kill("SIGKILL")));
        await endOf(cluster.svcproxy(["cleanup"]));
        await cluster.host.shell(`${process.env["KUBE_PROXY"]} --cleanup >/dev/null 2>&1; nft flush ruleset`);
      });
      const kubeProxy = started(cluster.startKubeProxy(mode));
      await answersAt("10.96.1.1:80");
      // Connections that were tried before anybody served are tracked as they went, and one with the port of such a one would go the same way.
      await cluster.host.shell("conntrack -F 2>/dev/null");
      const client = started(startClient());
      await client.says("connected");
      const agent = started(cluster.runAgent(["--data-path", dataPath, "--replace", "kube-proxy"]));
      await agent.says("kube-proxy still runs here");
      if (dataPath === "nftables") await agent.says('"following"');
      await kubeProxy.kill("SIGKILL");
      await agent.says("health on port 10256");
      await agent.says("kube-proxy is gone, and replaced", 60_000);
      await agent.says('"following"');
      expect(await theirs()).toBe("");
      await answersAt("10.96.1.1:80");
      expect(await agent.kill("SIGTERM")).toBe(0);
      const giving = started(cluster.svcproxy(["run", "kubernetes", "--give-back"]));
      await giving.says("waiting for");
      started(cluster.startKubeProxy(mode));
      expect(await giving.end()).toBe(0);
      expect(await theirs()).not.toBe("");
      expect(await cluster.host.shell("{ nft list tables; iptables-save; } | grep -i svcproxy || true")).toBe("");
      await answersAt("10.96.1.1:80");
      await client.kill("SIGTERM");
      expect(client.stdout).toMatch(/\ngood \d{2,}, refused 0, lost 0\n$/);
    },
  );
});

test("on a node where kube-proxy was cleaned up svcproxy serves by iptables, and leaves behind what it left", async () => {
  const kubeProxy = cluster.startKubeProxy("iptables");
  onTestFinished(async () => {
    await endOf(cluster.svcproxy(["cleanup"]));
    await cluster.host.shell("nft flush ruleset");
  });
  await answersAt("10.96.1.1:80");
  await kubeProxy.kill("SIGKILL");
  await cluster.host.shell(`${process.env["KUBE_PROXY"]} --cleanup >/dev/null 2>&1; true`);
  const firewall = () => cluster.host.shell("iptables-save | grep KUBE-FIREWALL");
  const left = await firewall();
  expect(left).toContain("-A INPUT -j KUBE-FIREWALL");
  const agent = cluster.runAgent(["--data-path", "iptables"]);
  await agent.says('"following"');
  await answersAt("10.96.1.1:80");
  expect(await agent.kill("SIGTERM")).toBe(0);
  await endOf(cluster.svcproxy(["cleanup"]));
  expect(await firewall()).toBe(left);
});

async function endOf(program: HostProgram) {
  return { code: await program.end(), stdout: program.stdout, stderr: program.stderr };
}

/** What the kernel has of a kube-proxy. */
function theirs(): Promise<string> {
  return cluster.host.shell(
    "{ nft list tables; iptables-save; } 2>/dev/null | grep -E 'kube-proxy|KUBE-PROXY-CANARY' || true",
  );
}

async function nodePort(): Promise<string> {
  return (await cluster.kubectl(["get", "service", "nodeport", "-o", "jsonpath={.spec.ports[0].nodePort}"])).trim();
}

/** What balancers are told. */
async function healthz(): Promise<string> {
  const command = "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:10256/healthz";
  return (await cluster.host.shell(command)).trim();
}

/** Servers on all endpoints, which answer with their address. */
async function serveEndpoints(): Promise<void> {
  const servers = cluster.host.startScript(`
    import { createSocket } from "node:dgram";
    import { createServer } from "node:net";
    for (const host of ["10.5.75.2", "10.5.75.3", "10.5.75.4", "10.5.75.5", "fd00:5::2"]) {
      createServer((socket) => socket.on("error", () => {}).end(host)).listen({ host, port: 3000 });
    }
    const udp = createSocket("udp4").bind(3053, "10.5.75.2", () => console.log("ready"));
    udp.on("message", (_, { address, port }) => udp.send("10.5.75.2", port, address));
  `);
  await servers.says("ready");
}

/** What each of some connections gets: the endpoint's address, or why none. */
async function dial(to: string, times: number): Promise<readonly string[]> {
  const program = cluster.host.startScript(
    `
    import { createSocket } from "node:dgram";
    import { connect } from "node:net";
    const [to, times] = process.argv.slice(-2);
    const [, isUdp, host, port] = /^(udp )?\\[?([^\\]]+?)\\]?:(\\d+)$/.exec(to);
    const tcp = () => new Promise((resolve) => {
      let text = "";
      connect({ host, port: Number(port), timeout: 3000 })
        .on("data", (data) => (text += data)).on("end", () => resolve(text))
        .on("timeout", () => resolve("timeout")).on("error", ({ code }) => resolve(code));
    });
    const udp = () => new Promise((resolve) => {
      const socket = createSocket("udp4").on("message", (data) => { resolve(String(data)); socket.close(); });
      socket.on("error", ({ code }) => resolve(code)).send("x", Number(port), host);
      setTimeout(() => resolve("timeout"), 3000).unref();
    });
    const answers = [];
    for (let time = 0; time < Number(times); time++) answers.push(await (isUdp ? udp() : tcp()));
    console.log(JSON.stringify(answers));
    process.exit(0);
  `,
    to,
    String(times),
  );
  await program.end();
  return JSON.parse(program.stdout);
}

async function answersAt(to: string): Promise<void> {
  let last: readonly string[] = [];
  await until(
    async () => {
      last = await dial(to, 1);
      return /^[\d.]+$/.test(last[0] ?? "");
    },
    () => `${to} does not answer: ${last.join(" ")}`,
    60_000,
  );
}

function startClient(): HostProgram {
  return cluster.host.startScript(`
    import { connect } from "node:net";
    let [good, refused, lost, isOver] = [0, 0, 0, false];
    process.on("SIGTERM", () => (isOver = true));
    const dial = () => new Promise((resolve) => {
      const socket = connect({ host: "10.96.1.1", port: 80, timeout: 5000 });
      socket.on("data", () => {}).on("end", () => { good++; resolve(); });
      socket.on("error", ({ code }) => { console.log(code, new Date().toISOString()); refused++; resolve(); });
      socket.on("timeout", () => { lost++; socket.destroy(); resolve(); });
    });
    while (!isOver) {
      await dial();
      if (good === 1) console.log("connected");
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    console.log(\`good \${good}, refused \${refused}, lost \${lost}\`);
    process.exit(0);
  `);
}
