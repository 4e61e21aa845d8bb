import { join } from "node:path";
import type { Connections } from "@svcproxy/host";
import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { endOf, runAgent, svcproxy } from "../testing/agent-host.ts";
import { ProxyHost } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "conntrack"]);

/** VIPs of both families, a NodePort, and UDP that nobody answers. */
const TOPOLOGY = {
  hosts: [{ name: "one", addresses: ["192.0.2.1", "2001:db8::1"], podCIDRs: ["10.5.75.0/24", "fd00:5::/64"] }],
  services: [
    {
      name: "web",
      clusterIPs: ["10.100.0.1", "fd00:9::1"],
      ports: [{ name: "http", port: 80, nodePort: 30080 }],
      endpoints: ["10.5.75.2:3000", "[fd00:5::2]:3000"],
    },
    { name: "dns", clusterIP: "10.100.0.2", ports: [{ port: 53, protocol: "UDP" }], endpoints: ["10.5.75.2:3000"] },
    { name: "idle", clusterIP: "10.100.0.3", ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] },
  ],
};

describe.skipIf(reason !== undefined)(
  `svcproxy connections${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    test.for(["nftables", "iptables", "userspace"])("tells who is connected by %s", async (dataPath, { expect }) => {
      await using host = await openHost();
      runAgent(host, ["--data-path", dataPath]);
      await connectClients(host);
      const web = await connectionsOf(host, ["web"]);
      expect(web).toMatchObject({ total: 3, unknown: [] });
      const seen = web.connections.map(({ vip, endpoint, state, portName }) => [vip, endpoint, state, portName]).sort();
      const open = dataPath === "userspace" ? "open" : "established";
      expect(seen).toEqual([
        ["10.100.0.1:80", "10.5.75.2:3000", open, "http"],
        ["192.0.2.1:30080", "10.5.75.2:3000", open, "http"],
        ["[fd00:9::1]:80", "[fd00:5::2]:3000", open, "http"],
      ]);
      for (const { client, ageSeconds, bytesFromClient, bytesToClient } of web.connections) {
        expect(client).toMatch(/^(192\.0\.2\.1|10\.|\[)/);
        expect(ageSeconds).toBeGreaterThanOrEqual(0);
        // The kernel counts headers as well.
        expect(bytesFromClient).toBeGreaterThanOrEqual(2);
        expect(bytesToClient).toBeGreaterThanOrEqual(3);
      }
      const dns = await connectionsOf(host, ["default/dns"]);
      expect(dns.connections).toMatchObject([{ protocol: "udp", vip: "10.100.0.2:53", state: "unanswered" }]);
      expect(await connectionsOf(host, ["idle"])).toMatchObject({ total: 0, connections: [] });
      expect(await connectionsOf(host, ["web", "--limit", "1"])).toMatchObject({ total: 3, connections: [{}] });
      const table = await endOf(svcproxy(host, ["connections", "web", "--limit", "2"]));
      expect(table.stdout.split("\n")).toHaveLength(4);
      expect(table.stderr).toContain("2 of 3 connections");
      const unknown = await endOf(svcproxy(host, ["connections", "wed"]));
      expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining("UNKNOWN_SERVICE")]);
    });

    test.for(["nftables", "iptables", "userspace"])(
      "each service has its metrics with %s",
      async (dataPath, { expect }) => {
        await using host = await openHost();
        runAgent(host, ["--data-path", dataPath, "--traffic-counters", "--service-series", "2"]);
        await connectClients(host);
        const metrics = await metricsOf(host);
        const web = 'service="default/web",port_name="http",protocol="tcp"';
        // A dial that was refused before there was a server counts where rules count.
        expect(sampleOf(metrics, `svcproxy_service_connections_total{${web}}`)).toBeGreaterThanOrEqual(3);
        expect(sampleOf(metrics, "svcproxy_service_series_left_out")).toBe(1);
        if (dataPath === "iptables") expect(metrics).not.toContain("svcproxy_service_bytes_total{");
        else {
          for (const direction of ["from_client", "to_client"])
            expect(sampleOf(metrics, `svcproxy_service_bytes_total{${web},direction="${direction}"}`)).toBeGreaterThan(
              0,
            );
        }
        if (dataPath === "userspace") expect(sampleOf(metrics, `svcproxy_service_connections_active{${web}}`)).toBe(3);
      },
    );

    test("by the addresses of a topology, where no agent runs, what the kernel tracks is told", async ({ expect }) => {
      await using host = await openHost();
      const topology = join(host.folder, "topology.yaml");
      expect(await endOf(svcproxy(host, ["nftables", "apply", topology, "--host", "one"]))).toMatchObject({ code: 0 });
      await connectClients(host);
      const asked = ["web", topology, "--host", "one"];
      const { connections } = await connectionsOf(host, asked);
      expect(connections).toHaveLength(3);
      // Without the tool the kernel's own file tells the same.
      const tools = join(host.folder, "tools");
      await host.shell(
        `mkdir ${tools} && ln -st ${tools} $(ls -d /usr/bin/* /usr/sbin/* | sort -t/ -uk4) && rm ${tools}/conntrack`,
      );
      const flows = (list: Connections["connections"]) =>
        list.map(({ client, vip, endpoint }) => [client, vip, endpoint]);
      const byFile = await endOf(svcproxy(host, ["connections", "--json", ...asked], [`PATH=${tools}`]));
      const told: Connections = JSON.parse(byFile.stdout);
      expect(flows(told.connections)).toEqual(flows(connections));
      expect(told.connections).toContainEqual(
        expect.objectContaining({
          ...{ vip: "[fd00:9::1]:80", state: "established", ageSeconds: expect.any(Number) },
          ...{ bytesFromClient: expect.any(Number), bytesToClient: expect.any(Number) },
        }),
      );
    });

    test("where nobody serves and no topology is named, it says so", async ({ expect }) => {
      await using host = await openHost();
      const { code, stderr } = await endOf(svcproxy(host, ["connections", "web"]));
      expect([code, stderr]).toEqual([
        2,
        expect.stringContaining("neither svcproxy run nor svcproxy userspace answers"),
      ]);
    });

    test("a connection that is over is not shown, although the kernel remembers it", async ({ expect }) => {
      await using host = await openHost();
      const topology = join(host.folder, "topology.yaml");
      expect(await endOf(svcproxy(host, ["nftables", "apply", topology, "--host", "one"]))).toMatchObject({ code: 0 });
      const entry = (port: number, state: string) =>
        `conntrack -I -p tcp -t 300 --state ${state} -s 10.5.75.9 -d 10.100.0.1 --sport ${port} --dport 80 -r 10.5.75.2 -q 10.5.75.9 --reply-port-src 3000 --reply-port-dst ${port} -u ASSURED`;
      await host.shell([entry(1001, "TIME_WAIT"), entry(1002, "ESTABLISHED"), entry(1003, "CLOSE")].join(" && "));
      expect(await host.shell("conntrack -L -p tcp --orig-dst 10.100.0.1 | wc -l")).toBe("3\n");
      const { connections, total } = await connectionsOf(host, ["web", topology, "--host", "one"]);
      expect([total, connections.map(({ client }) => client)]).toEqual([1, ["10.5.75.9:1002"]]);
    });

    test("what the kernel does not note is named, with the setting", async ({ expect }) => {
      await using host = await openHost();
      await host.shell("sysctl -qw net.netfilter.nf_conntrack_acct=0 net.netfilter.nf_conntrack_timestamp=0");
      runAgent(host, ["--data-path", "nftables"]);
      await connectClients(host);
      const { stdout, stderr } = await endOf(svcproxy(host, ["connections", "web"]));
      expect(stdout).toMatch(/10\.100\.0\.1:80 +10\.5\.75\.2:3000 +established +- +- +-$/m);
      expect(stderr).toContain("sysctl -w net.netfilter.nf_conntrack_acct=1");
      expect(stderr).toContain("sysctl -w net.netfilter.nf_conntrack_timestamp=1");
    });

    test("the userspace proxy tells by its own socket, of all its workers", async ({ expect }) => {
      await using host = await openHost();
      host.svcproxy(
        ["userspace", join(host.folder, "topology.yaml"), "--host", "one", "--workers", "2"],
        ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`],
      );
      await connectClients(host);
      expect(await connectionsOf(host, ["web"])).toMatchObject({ total: 3 });
      expect(await connectionsOf(host, ["dns"])).toMatchObject({ total: 1 });
      const unknown = await endOf(svcproxy(host, ["connections", "wed"]));
      expect([unknown.code, unknown.stderr]).toEqual([2, expect.stringContaining('Did you mean "web"?')]);
    });
  },
);

async function openHost(): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.writeTopology(TOPOLOGY);
  await host.shell(`
    sysctl -qw net.netfilter.nf_conntrack_acct=1 net.netfilter.nf_conntrack_timestamp=1 net.netfilter.nf_conntrack_udp_timeout=600
    ip link add cni0 type bridge && ip link set cni0 up
    for a in 192.0.2.1/32 10.5.75.2/32; do ip address add $a dev cni0; done
    for a in 2001:db8::1/128 fd00:5::2/128; do ip address add $a dev cni0 nodad; done
    ip route add 10.100.0.0/16 dev cni0 && ip -6 route add fd00:9::/64 dev cni0`);
  return host;
}

/** Starts servers on the endpoints, and clients as soon as each VIP answers: one each over TCP, and a datagram. */
async function connectClients(host: ProxyHost): Promise<void> {
  const clients = host.startScript(`
    import { createSocket } from "node:dgram";
    import { connect, createServer } from "node:net";
    const servers = ["10.5.75.2", "fd00:5::2"].map((host) => createServer((socket) => socket.on("error", () => {}).write("abc")).listen({ host, port: 3000 }));
    const silent = createSocket("udp4").bind(3000, "10.5.75.2");
    const dial = (host, port) => new Promise((resolve) => {
      const again = () => setTimeout(() => dial(host, port).then(resolve), 50);
      const socket = connect({ host, port });
      socket.on("error", again).on("data", () => resolve());
      socket.on("connect", () => socket.write("hi"));
    });
    await Promise.all([dial("10.100.0.1", 80), dial("fd00:9::1", 80), dial("192.0.2.1", 30080)]);
    const socket = createSocket("udp4");
    socket.on("error", () => {}).send("x", 53, "10.100.0.2", () => console.log("connected"));
  `);
  await clients.says("connected");
}

/** What the agent tells scrapers. */
async function metricsOf(host: ProxyHost): Promise<string> {
  const scraper = host.startScript(
    'process.stdout.write(await (await fetch("http://127.0.0.1:10249/metrics")).text())',
  );
  if ((await scraper.end()) !== 0) throw new Error(scraper.stderr);
  return scraper.stdout;
}

function sampleOf(metrics: string, series: string): number {
  const line = metrics.split("\n").find((text) => text.startsWith(`${series} `));
  return Number(line?.slice(series.length));
}

async function connectionsOf(host: ProxyHost, args: readonly string[]): Promise<Connections> {
  const { stdout, stderr } = await endOf(svcproxy(host, ["connections", "--json", ...args]));
  if (stdout === "") throw new Error(stderr);
  return JSON.parse(stdout);
}
