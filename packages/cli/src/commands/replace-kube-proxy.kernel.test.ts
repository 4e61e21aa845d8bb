import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { runAgent, svcproxy } from "../testing/agent-host.ts";
import { type HostProgram, ProxyHost } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy"]);

/** As objects of a cluster: rules of iptables are then written with kube-proxy's names. */
const OBJECTS = [
  {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name: "one" }, spec: { podCIDR: "10.5.75.0/24" } },
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
  },
  {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name: "web", namespace: "default" } },
    spec: { clusterIP: "10.100.0.1", ports: [{ port: 80 }] },
  },
  {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: { name: "web-x", namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
    ports: [{ name: "", port: 3000, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.5.75.2"] }],
  },
];

/** What a kube-proxy of each mode writes for the service. */
const RULES = {
  nftables: `nft -f - <<'END'
table ip kube-proxy {
  chain nat { ip daddr 10.100.0.1 tcp dport 80 dnat to 10.5.75.2:3000; }
  chain nat-prerouting { type nat hook prerouting priority dstnat; jump nat; }
  chain nat-output { type nat hook output priority -100; jump nat; }
}
END`,
  iptables: `iptables-nft-restore --noflush <<'END'
*mangle
:KUBE-PROXY-CANARY - [0:0]
COMMIT
*filter
:KUBE-PROXY-CANARY - [0:0]
:KUBE-FORWARD - [0:0]
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
COMMIT
*nat
:KUBE-PROXY-CANARY - [0:0]
:KUBE-SERVICES - [0:0]
:KUBE-SVC-ABC - [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A KUBE-SERVICES -d 10.100.0.1/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-ABC
-A KUBE-SVC-ABC -p tcp -m tcp -j DNAT --to-destination 10.5.75.2:3000
COMMIT
END`,
} as const;

/** What a kubelet up to 1.27 makes in the table nat. */
const OLD_KUBELET = `iptables-nft-restore --noflush <<'END'
*nat
:KUBE-KUBELET-CANARY - [0:0]
:KUBE-MARK-DROP - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-POSTROUTING - [0:0]
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-MARK-DROP -j MARK --or-mark 0x8000
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully
COMMIT
END`;

/** What a kube-proxy that starts for nftables does first: jumps with its comments go, then the chains with its names, one table at once. */
const CLEAN_UP = `
for table in nat filter; do
  iptables-nft-save -t $table | grep -E '^-A (PREROUTING|INPUT|FORWARD|OUTPUT|POSTROUTING) .*--comment "?kubernetes ' \\
    | sed 's/^-A/-D/' | while read -r rule; do echo "iptables-nft -t $table $rule"; done | sh
  chains=$(iptables-nft-save -t $table | sed -n 's/^:\\(KUBE-[^ ]*\\) .*/\\1/p')
  { echo "*$table"; for c in $chains; do echo ":$c - [0:0]"; done; for c in $chains; do echo "-X $c"; done; echo COMMIT; } \\
    | iptables-nft-restore --noflush || true
done`;

/** How long a kube-proxy's rules stay at least after its end. */
const KEPT_FOR_MS = 10_000;

/** Says all the time what the kernel has of it, in as many lines as there are. */
const THEIRS =
  "{ nft list tables; iptables-nft-save; } 2>/dev/null | grep -E 'kube-proxy|KUBE-PROXY-CANARY|KUBE-SVC-ABC' || true";

describe.skipIf(reason !== undefined)(
  `svcproxy run --replace kube-proxy${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nftables", "iptables"] as const)(
      "a kube-proxy (%s) is named and refused without the flag",
      async (mode, { expect }) => {
        await using host = await openHost();
        await host.shell(RULES[mode]);
        const rulesAlone = runAgent(host);
        expect(await rulesAlone.end()).toBe(1);
        expect(rulesAlone.stderr).toMatch(/the rules of a kube-proxy serve this host.*--replace kube-proxy/s);
        const kubeProxy = await startKubeProxy(host);
        const beside = runAgent(host);
        expect(await beside.end()).toBe(1);
        expect(beside.stderr).toContain(`kube-proxy serves this host (process ${kubeProxy.pid}, port 10256`);
        expect(await host.shell("nft list tables")).not.toContain("svcproxy");
      },
    );

    test.for([
      { mode: "nftables", dataPath: "nftables" },
      { mode: "iptables", dataPath: "nftables" },
      { mode: "nftables", dataPath: "iptables" },
      { mode: "iptables", dataPath: "iptables" },
    ] as const)("$mode by $dataPath, and given back, under connections", async ({ mode, dataPath }, { expect }) => {
      await using host = await openHost();
      await host.shell(RULES[mode]);
      const kubeProxy = await startKubeProxy(host);
      const client = startClient(host);
      await client.says("connected");
      const agent = runAgent(host, [
        "--data-path",
        dataPath,
        "--replace",
        "kube-proxy",
        "--config",
        join(host.folder, "c"),
      ]);
      await agent.says("kube-proxy still runs here");
      if (dataPath === "nftables") await agent.says('"following"');
      await host.shell("sleep 2");
      const beside = await host.shell(THEIRS);
      expect(beside).not.toBe("");
      const killedMs = performance.now();
      await kubeProxy.kill("SIGKILL");
      await agent.says("health on port 10256");
      await agent.says("metrics on port 10249");
      await delay(Math.max(0, KEPT_FOR_MS - 4_000 - (performance.now() - killedMs)));
      const kept = await host.shell(THEIRS);
      // On a machine that was too busy to look in time there is nothing to judge.
      if (performance.now() - killedMs < KEPT_FOR_MS) expect(kept).toBe(beside);
      await agent.says("kube-proxy is gone, and replaced");
      await agent.says('"following"');
      expect(await host.shell(THEIRS)).toBe("");
      // It is back, and is not fought.
      const back = await startKubeProxy(host, { hasPorts: false });
      await agent.says("kube-proxy was replaced, and is back");
      if (mode === "nftables") await host.shell(`{ ${CLEAN_UP}\n} 2>/dev/null; sleep 1`);
      await host.shell(RULES[mode]);
      await host.shell("sleep 3");
      expect(await host.shell(THEIRS)).not.toBe("");
      expect(await agent.kill("SIGTERM")).toBe(0);
      const giving = svcproxy(host, ["run", "kubernetes", "--give-back"]);
      expect([await giving.end(), giving.stdout]).toEqual([0, expect.stringContaining("given back to kube-proxy")]);
      expect(await host.shell("{ nft list tables; iptables-nft-save; } 2>/dev/null | grep -i svcproxy || true")).toBe(
        "",
      );
      expect(await host.shell(THEIRS)).not.toBe("");
      await host.shell("sleep 0.5");
      await back.kill("SIGKILL");
      expect(await client.kill("SIGTERM")).toBe(0);
      expect(client.stdout).toMatch(/^connected\ngood \d+, refused 0, lost 0\n$/);
    });

    test.for(["nftables", "iptables"] as const)(
      "with kube-proxy's rules go none of a kubelet up to 1.27, and none of them is called ours (%s)",
      async (dataPath, { expect }) => {
        await using host = await openHost();
        await host.shell(OLD_KUBELET);
        const kept =
          "iptables-nft-save -t nat | grep -E '^(:KUBE-(MARK|POSTROUTING)|-A (KUBE-(MARK|POSTROUTING)|POSTROUTING))'";
        const before = await host.shell(kept);
        await host.shell(RULES.iptables);
        const agent = runAgent(host, ["--data-path", dataPath, "--replace", "kube-proxy"]);
        await agent.says("kube-proxy is gone, and replaced");
        await agent.says('"following"');
        expect(await host.shell(kept)).toBe(before);
        await agent.kill("SIGTERM");
        expect(await svcproxy(host, ["cleanup"]).end()).toBe(0);
        expect(await host.shell(kept)).toBe(before);
        expect(await host.shell("iptables-nft-save")).not.toMatch(/svcproxy|KUBE-SERVICES/i);
      },
    );

    test("given back to a kube-proxy of iptables, nothing of ours is left: jumps that it has not written become its own", async ({
      expect,
    }) => {
      await using host = await openHost();
      const agent = runAgent(host, ["--data-path", "iptables", "--config", join(host.folder, "c")]);
      await agent.says('"following"');
      await agent.kill("SIGTERM");
      expect(await host.shell("iptables-nft-save")).toContain("svcproxy: kubernetes service portals");
      await host.shell(RULES.iptables);
      const giving = svcproxy(host, ["run", "kubernetes", "--give-back"]);
      expect(await giving.end()).toBe(0);
      const rules = await host.shell("iptables-nft-save");
      expect(rules).not.toMatch(/svcproxy/i);
      const jumps = rules.split("\n").filter((line) => /^-A (PREROUTING|POSTROUTING|OUTPUT) .*-j KUBE-/.test(line));
      expect(new Set(jumps).size).toBe(jumps.length);
      expect(jumps.filter((line) => line.startsWith("-A PREROUTING"))).toHaveLength(1);
      expect(jumps.filter((line) => line.startsWith("-A POSTROUTING"))).toEqual([
        '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
      ]);
    });

    test("--give-back waits for kube-proxy, and takes nothing away before", async ({ expect }) => {
      await using host = await openHost();
      const agent = runAgent(host);
      await agent.says('"following"');
      await agent.kill("SIGTERM");
      const giving = svcproxy(host, ["run", "kubernetes", "--give-back"]);
      await giving.says("waiting for kube-proxy's rules");
      expect(await host.shell("nft list tables")).toContain("svcproxy");
      await host.shell(RULES.nftables);
      expect(await giving.end()).toBe(0);
      expect(await host.shell("nft list tables")).not.toContain("svcproxy");
      const nothing = svcproxy(host, ["run", "kubernetes", "--give-back"]);
      expect([await nothing.end(), nothing.stdout]).toEqual([0, "given back to kube-proxy: nothing here is ours\n"]);
    });
  },
);

async function openHost(): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.writeTopology({ apiVersion: "v1", kind: "List", items: OBJECTS });
  await host.shell(`
    ip link add cni0 type bridge && ip link set cni0 up && ip address add 10.5.75.2/32 dev cni0
    ip route add 10.100.0.0/16 dev cni0
    printf '%s' '{ "apiVersion": "kubeproxy.config.k8s.io/v1alpha1", "kind": "KubeProxyConfiguration" }' > ${host.folder}/c`);
  return host;
}

/** A program of its name, with its ports and what they answer. */
async function startKubeProxy(host: ProxyHost, { hasPorts = true } = {}): Promise<HostProgram> {
  const program = host.startScript(`
    import { createServer } from "node:http";
    process.title = "kube-proxy";
    const now = new Date().toISOString();
    const pages = { "/proxyMode": "iptables", "/healthz": JSON.stringify({ lastUpdated: now, currentTime: now, nodeEligible: true }) };
    const answer = ({ url }, response) => response.end(pages[url] ?? "");
    for (const port of ${hasPorts ? "[10256, 10249]" : "[]"}) createServer(answer).listen(port, "127.0.0.1");
    setTimeout(() => console.log("ready"), 200);
    setTimeout(() => {}, 600_000);
  `);
  await program.says("ready");
  return program;
}

/** Connects by the service all the time, and says in the end what became of it. */
function startClient(host: ProxyHost): HostProgram {
  return host.startScript(`
    import { connect, createServer } from "node:net";
    await new Promise((resolve) => createServer((socket) => socket.end("x")).listen(3000, "10.5.75.2", resolve));
    let [good, refused, lost, isOver] = [0, 0, 0, false];
    process.on("SIGTERM", () => (isOver = true));
    const dial = () => new Promise((resolve) => {
      const socket = connect({ host: "10.100.0.1", port: 80, timeout: 5_000 });
      socket.on("data", () => {}).on("end", () => { good++; resolve(); });
      socket.on("error", () => { refused++; resolve(); });
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
