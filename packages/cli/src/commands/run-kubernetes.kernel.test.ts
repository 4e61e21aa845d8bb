import { rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ClusterState } from "@svcproxy/agent/testing";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { svcproxy } from "../testing/agent-host.ts";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy"]);

const NODE = {
  ...{ apiVersion: "v1", kind: "Node", metadata: { name: "node1" }, spec: { podCIDR: "10.5.75.0/24" } },
  status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
};

function services(count: number) {
  return Array.from({ length: count }, (_, index) => [
    {
      ...{ apiVersion: "v1", kind: "Service", metadata: { name: `web${index}`, namespace: "default" } },
      spec: { clusterIP: `10.96.0.${index + 1}`, ports: [{ port: 80 }] },
    },
    {
      ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
      metadata: {
        ...{ name: `web${index}-x`, namespace: "default" },
        labels: { "kubernetes.io/service-name": `web${index}` },
      },
      ports: [{ name: "", port: 3000, protocol: "TCP" }],
      endpoints: [{ addresses: [`10.5.75.${index + 2}`], nodeName: "node1" }],
    },
  ]).flat();
}

const CONFIG = `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
detectLocalMode: NodeCIDR
conntrack: { maxPerCore: 0, tcpCloseWaitTimeout: 2h }
enableProfiling: true
`;

describe.skipIf(reason !== undefined)(
  `svcproxy run kubernetes${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for([{ canStream: true }, { canStream: false }])(
      "follows a cluster by kubeadm's command line (streams: $canStream), also while its API server comes and goes",
      async ({ canStream }, { expect }) => {
        await using host = await openHost();
        await writeCluster(host, { objects: [NODE, ...services(3)], canStream });
        const agent = runNode(host);
        await serves(host, 3);
        await writeCluster(host, { objects: [NODE, ...services(5)], canStream });
        await serves(host, 5);
        await writeCluster(host, { objects: [NODE, ...services(4)], canStream, isAway: true });
        await host.shell("sleep 1");
        expect(await servedCount(host)).toBe(5);
        await writeCluster(host, { objects: [NODE, ...services(4)], canStream });
        await serves(host, 4);
        expect(await agent.kill("SIGTERM")).toBe(0);
        expect(await servedCount(host)).toBe(4);
      },
    );

    test("touches nothing before the node has its podCIDR, and says so", async ({ expect }) => {
      await using host = await openHost();
      await writeCluster(host, { objects: [{ ...NODE, spec: {} }, ...services(2)] });
      const agent = runNode(host);
      await agent.says("no podCIDR yet");
      expect(await host.shell("nft list ruleset")).toBe("");
      expect(agent.stderr.match(/no effect here: enableProfiling/g)).toHaveLength(1);
      await writeCluster(host, { objects: [NODE, ...services(2)] });
      await serves(host, 2);
      // What was said of the configuration at the start is not said again, and is in the status.
      await agent.says('"state":"following"');
      expect(agent.stderr.match(/no effect here: enableProfiling/g)).toHaveLength(1);
      await writeCluster(host, { objects: [{ ...NODE, spec: { podCIDR: "10.5.99.0/24" } }, ...services(2)] });
      await until(
        async () => (await host.shell("nft list table ip svcproxy")).includes("10.5.99.0/24"),
        () => "the new podCIDR is not in the rules",
      );
    });

    test("while the autoscaler is about to take the node, /healthz says so and /livez does not", async ({ expect }) => {
      await using host = await openHost();
      await writeCluster(host, { objects: [NODE, ...services(1)] });
      runNode(host);
      await serves(host, 1);
      expect(await answers(host)).toEqual(["200", "200"]);
      const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }];
      await writeCluster(host, { objects: [{ ...NODE, spec: { ...NODE.spec, taints } }, ...services(1)] });
      await until(
        async () => (await answers(host)).join() === "503,200",
        () => "the taint is not seen",
      );
      // Deleted, it serves on.
      await writeCluster(host, { objects: services(2) });
      await serves(host, 2);
      expect(await answers(host)).toEqual(["503", "200"]);
    });

    test("--init-only sets sysctls, asks no API server, and ends", async ({ expect }) => {
      await using host = await openHost({ hasServer: false });
      const program = svcproxy(host, [
        "run",
        "kubernetes",
        "--init-only",
        "--config",
        join(host.folder, "config.conf"),
      ]);
      expect([await program.end(), program.stderr]).toEqual([0, expect.not.stringContaining("ERROR")]);
      expect(program.stdout).toContain("nf_conntrack_tcp_timeout_close_wait=7200");
      expect((await host.shell("sysctl -n net.netfilter.nf_conntrack_tcp_timeout_close_wait")).trim()).toBe("7200");
      // kube-proxy's default in iptables mode.
      expect((await host.shell("sysctl -n net.ipv4.conf.all.route_localnet")).trim()).toBe("1");
      expect(await host.shell("nft list ruleset")).toBe("");
    });

    test("a configuration that changes is taken over, one with a fault is not", async ({ expect }) => {
      await using host = await openHost();
      await writeCluster(host, { objects: [NODE, ...services(1)] });
      const agent = runNode(host);
      await serves(host, 1);
      const path = join(host.folder, "config.conf");
      const before = await planDigest(host);
      await writeFile(path, CONFIG.replace("NodeCIDR", "Nowhere"));
      await agent.says(`configuration ${path} is refused, its last good state stays: `);
      const status = svcproxy(host, ["status"]);
      await status.end();
      expect(status.stdout).toMatch(/^degraded: /);
      expect(status.stdout).toMatch(/configuration \S+: refused for .*, its last good state stays/);
      expect(status.stdout).toContain(`${path}:4:18: Cannot read the configuration: detectLocalMode: "Nowhere"`);
      // Warnings of what stays in force are told once.
      expect(status.stdout.match(/enableProfiling/g)).toHaveLength(1);
      expect(agent.stderr).toContain("degraded: Cannot read the configuration: detectLocalMode");
      expect(await planDigest(host)).toBe(before);
      await rm(path);
      await agent.says("there is no such file");
      await writeFile(path, `${CONFIG}iptables: { masqueradeAll: true }\noomScoreAdj: -7\n`);
      await agent.says("the configuration was read again");
      await agent.says(`What ${path} says now of clientConnection.kubeconfig, oomScoreAdj counts at the next start`);
      await until(
        async () => (await planDigest(host)) !== before,
        () => "the plan is the same",
      );
    });

    test.for([
      { name: "no cluster", flags: [], text: /\[NO_CLUSTER\]/ },
      { name: "no such file", flags: ["--kubeconfig", "/nowhere"], text: /\[FILE_UNREADABLE\]/ },
      { name: "a context of nothing", flags: ["--context", "x"], text: /\[CONFLICTING_FLAGS\]/ },
    ])("$name is bad input: exit 2", async ({ flags, text }, { expect }) => {
      await using host = await openHost({ hasServer: false });
      const program = svcproxy(host, ["run", "kubernetes", ...flags]);
      expect([await program.end(), program.stderr]).toEqual([2, expect.stringMatching(text)]);
    });
  },
);

/** A host with kubeadm's files, and the API server of a cluster on it. */
async function openHost({ hasServer = true } = {}): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  const kubeconfig = {
    ...{
      apiVersion: "v1",
      kind: "Config",
      "current-context": "x",
      contexts: [{ name: "x", context: { cluster: "c" } }],
    },
    clusters: [{ name: "c", cluster: { server: "http://127.0.0.1:7443" } }],
  };
  await writeFile(join(host.folder, "kubeconfig.conf"), JSON.stringify(kubeconfig));
  const connection = `clientConnection: { kubeconfig: ${join(host.folder, "kubeconfig.conf")} }\n`;
  await writeFile(join(host.folder, "config.conf"), CONFIG + connection);
  await writeCluster(host, { objects: [] });
  if (hasServer) {
    const file = JSON.stringify(join(host.folder, "cluster.json"));
    host.startScript(`import { runCluster } from "@svcproxy/agent/testing"; await runCluster(${file}, 7443);`);
  }
  return host;
}

async function writeCluster(host: ProxyHost, state: ClusterState): Promise<void> {
  const path = join(host.folder, "cluster.json");
  await writeFile(`${path}.new`, JSON.stringify(state));
  await rename(`${path}.new`, path);
}

function runNode(host: ProxyHost): HostProgram {
  const config = `--config=${join(host.folder, "config.conf")}`;
  return svcproxy(host, ["run", "kubernetes", config, "--hostname-override=Node1", "--guard", "0"]);
}

async function servedCount(host: ProxyHost): Promise<number> {
  const text = await host.shell("nft list map ip svcproxy services 2>/dev/null || true");
  return text.match(/\. tcp \. 80\b/g)?.length ?? 0;
}

async function serves(host: ProxyHost, count: number): Promise<void> {
  await until(
    async () => (await servedCount(host)) === count,
    () => `it does not serve ${count} services`,
  );
}

/** What tells plans apart. */
async function planDigest(host: ProxyHost): Promise<unknown> {
  const status = svcproxy(host, ["status", "--json"]);
  await status.end();
  return JSON.parse(status.stdout).planDigest;
}

/** Of /healthz and /livez. */
async function answers(host: ProxyHost): Promise<readonly string[]> {
  const ask = (path: string) => `curl -s -o /dev/null -w '%{http_code} ' http://127.0.0.1:10256/${path}`;
  return (await host.shell(`${ask("healthz")}; ${ask("livez")}`)).trim().split(" ");
}
