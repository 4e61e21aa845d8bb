import { join } from "node:path";
import { createNetworkNamespace, type NetworkNamespace, whyNoKernelTests } from "@svcproxy/lab";
import { describe, test } from "vitest";
import { type HostProgram, ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "nft", "iptables-nft", "iptables-legacy"]);

const TOPOLOGY = {
  hosts: [
    {
      name: "one",
      addresses: ["192.0.2.1", "2001:db8::1"],
      podCIDRs: ["10.5.75.0/24", "fd00:5::/64"],
      pods: [{ name: "client", addresses: ["10.5.75.9:9", "[fd00:5::9]:9"] }],
    },
  ],
  services: [
    {
      name: "web",
      clusterIPs: ["10.100.0.1", "fd00:9::1"],
      ports: [{ port: 80 }],
      endpoints: ["10.5.75.2:3000", "10.5.75.3:3000", "[fd00:5::2]:3000"],
    },
    { name: "dns", clusterIP: "10.100.0.2", ports: [{ port: 53, protocol: "UDP" }], endpoints: ["10.5.75.2:3000"] },
    { name: "nobody", clusterIP: "10.100.0.3", ports: [{ port: 80 }], endpoints: [] },
    { name: "other", clusterIP: "10.100.0.4", ports: [{ port: 80 }], endpoints: ["10.5.75.2:3000"] },
  ],
};

/** What a line of `trace --watch --json` has. */
interface Watched {
  readonly agreement: string;
  readonly disagreement: string | null;
  readonly end: { readonly kind: string; readonly header?: { readonly source: string; readonly destination: string } };
  readonly hops: readonly { readonly chain: string }[];
}

describe.skipIf(reason !== undefined)(
  `svcproxy trace --watch${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 180_000 },
  () => {
    describe.for(["nftables", "iptables"])("with rules of %s", (dataPath) => {
      test.for([
        { from: "192.0.2.1", to: "10.100.0.1:80", end: "host", source: "10.5.75" },
        { from: "2001:db8::1", to: "[fd00:9::1]:80", end: "host", source: "2001:db8::1" },
        { from: "192.0.2.1", to: "10.100.0.3:80", end: "dropped", source: "" },
      ])("the host's own connection from $from to $to goes as predicted", async ({ from, to, end }, { expect }) => {
        await using host = await openHost(dataPath);
        const watch = await startWatch(host, ["--from", from, "--to", to]);
        await dial(host.namespace, [`${from} ${to}`, "192.0.2.1 10.100.0.4:80"]);
        const seen = await endOfWatch(watch, 1);
        expect(seen).toMatchObject([{ agreement: "agrees", disagreement: null, end: { kind: end } }]);
        expect(await host.shell("nft list tables")).not.toContain("svcproxy-trace");
      });

      test("a pod's connection goes as predicted, to another pod and refused", async ({ expect }) => {
        await using host = await openHost(dataPath);
        await using pod = await addPod(host, "10.5.75.9");
        await using _server = await addPod(host, "10.5.75.2");
        await using _other = await addPod(host, "10.5.75.3");
        for (const { to, end } of [
          { to: "10.100.0.1:80", end: "interface" },
          { to: "10.100.0.3:80", end: "dropped" },
        ]) {
          const watch = await startWatch(host, ["--from", "10.5.75.9", "--to", to]);
          await dial(pod, [`10.5.75.9 ${to}`]);
          expect(await endOfWatch(watch, 1)).toMatchObject([{ agreement: "agrees", end: { kind: end } }]);
        }
      });

      test("a packet that another program's rule drops is seen to be dropped there", async ({ expect }) => {
        await using host = await openHost(dataPath);
        await host.shell("iptables-nft -A OUTPUT -p tcp -d 10.5.75.0/24 -j DROP");
        const watch = await startWatch(host, ["--from", "192.0.2.1", "--to", "10.100.0.1:80"]);
        await dial(host.namespace, ["192.0.2.1 10.100.0.1:80"]);
        const [packet] = await endOfWatch(watch, 1);
        expect(packet).toMatchObject({ agreement: "agrees", end: { kind: "dropped" } });
        expect(packet?.hops.at(-1)).toMatchObject({ table: "filter", chain: "OUTPUT", verdict: "drop" });
      });
    });

    test("of a UDP client only the datagram that begins is shown", async ({ expect }) => {
      await using host = await openHost("nftables");
      const watch = await startWatch(host, ["--from", "192.0.2.1", "--to", "10.100.0.2:53", "--proto", "udp"]);
      await host.shell(`python3 -c '
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("192.0.2.1", 0))
r = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); r.bind(("10.5.75.2", 3000))
s.sendto(b"a", ("10.100.0.2", 53)); d, who = r.recvfrom(9); r.sendto(b"b", who); s.recvfrom(9)
for i in range(3): s.sendto(b"c", ("10.100.0.2", 53)); time.sleep(0.4)'`);
      expect(await endOfWatch(watch, 1)).toMatchObject([{ agreement: "agrees" }]);
    });

    test("kill -9 leaves a table that marks nothing for long, and no helper; the next run, an agent and cleanup take it away", async ({
      expect,
    }) => {
      await using host = await openHost("nftables");
      const flags = ["--from", "192.0.2.1", "--to", "10.100.0.1:80"];
      const killed = await startWatch(host, flags);
      await killed.kill("SIGKILL");
      expect(await host.shell("nft list table inet svcproxy-trace")).toMatch(/192\.0\.2\.1 timeout 1m2s expires/);
      await until(
        async () =>
          (await host.shell("pgrep -f '[n]ft -a monitor trace' | xargs -rI{} readlink /proc/{}/ns/net || true")) === "",
        () => "nft monitor runs on",
      );
      const next = await startWatch(host, flags);
      const second = svcproxy(host, ["trace", "--watch", "--live", ...flags]);
      expect(await second.end()).toBe(1);
      expect(second.stderr).toContain("[ALREADY_RUNNING]");
      await next.kill("SIGKILL");
      const agent = svcproxy(host, ["run", join(host.folder, "topology.yaml"), "--host", "one"]);
      await agent.says("had left");
      expect(await host.shell("nft list tables")).not.toContain("svcproxy-trace");
      await agent.kill("SIGTERM");
      const another = await startWatch(host, flags);
      await another.kill("SIGKILL");
      const cleanup = svcproxy(host, ["cleanup"]);
      expect(await cleanup.end()).toBe(0);
      expect(cleanup.stdout).toContain("table inet svcproxy-trace");
      expect(await host.shell("nft list tables")).not.toContain("svcproxy");
    });

    test("nobody connects: exit 4; another flag that makes no sense: exit 2; iptables-legacy: it says that it cannot", async ({
      expect,
    }) => {
      await using host = await ProxyHost.create();
      await host.writeTopology(TOPOLOGY);
      await prepare(host);
      const flags = ["--from", "192.0.2.1", "--to", "10.100.0.1:80"];
      const quiet = svcproxy(host, ["trace", "--watch", ...flags, "--for", "200ms"]);
      expect(await quiet.end()).toBe(4);
      expect(quiet.stderr).toContain("nobody made such a connection");
      const listed = svcproxy(host, ["trace", "--watch", ...flags, "--mark", "1"]);
      expect(await listed.end()).toBe(2);
      await host.shell("iptables-legacy -t nat -A OUTPUT -d 10.100.0.1 -p tcp -j DNAT --to 10.5.75.2:3000");
      const legacy = svcproxy(host, ["trace", "--watch", ...flags, "--for", "200ms"]);
      expect([await legacy.end(), legacy.stderr]).toEqual([1, expect.stringContaining("[NOT_TRACEABLE]")]);
    });
  },
);

async function openHost(dataPath: string): Promise<ProxyHost> {
  const host = await ProxyHost.create();
  await host.writeTopology(TOPOLOGY);
  await prepare(host);
  const apply = svcproxy(host, [dataPath, "apply", join(host.folder, "topology.yaml"), "--host", "one"]);
  if ((await apply.end()) !== 0) throw new Error(apply.stderr);
  return host;
}

/** The endpoints are the host's own addresses until a pod takes them. */
async function prepare(host: ProxyHost): Promise<void> {
  await host.shell(`
    sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
    ip link add cni0 type bridge && ip link set cni0 up && sysctl -qw net.ipv6.conf.cni0.accept_dad=0
    for a in 192.0.2.1/32 10.5.75.1/24 10.5.75.2/32 10.5.75.3/32; do ip address add $a dev cni0; done
    for a in 2001:db8::1/128 fd00:5::1/64 fd00:5::2/128; do ip address add $a dev cni0 nodad; done
    ip route add 10.100.0.0/16 dev cni0 && ip -6 route add fd00:9::/64 dev cni0`);
}

/** A pod behind the bridge that takes over an address. */
async function addPod(host: ProxyHost, address: string): Promise<NetworkNamespace> {
  const pod = await createNetworkNamespace();
  const name = `v${address.split(".").at(-1)}`;
  await host.shell(`
    ip address del ${address}/32 dev cni0 2>/dev/null || true
    ip link add ${name} type veth peer name eth0 netns ${pod.pid} && ip link set ${name} master cni0 up
    ip link set ${name} type bridge_slave hairpin on`);
  await pod.run("sh", [
    "-c",
    `ip address add ${address}/24 dev eth0 && ip link set eth0 up && ip route add default via 10.5.75.1`,
  ]);
  return pod;
}

/** Dials `FROM TO`, each once, whatever comes of it. */
async function dial(place: NetworkNamespace, pairs: readonly string[]): Promise<void> {
  await place.run("python3", [
    "-c",
    `
import socket, sys
for pair in sys.argv[1:]:
    source, to = pair.split(" "); host, port = to.rsplit(":", 1); host = host.strip("[]")
    s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET); s.settimeout(0.3)
    s.bind((source, 0))
    try: s.connect((host, int(port)))
    except OSError: pass
    s.close()`,
    ...pairs,
  ]);
}

function svcproxy(host: ProxyHost, args: readonly string[]): HostProgram {
  return host.svcproxy(args, ["env", `RUNTIME_DIRECTORY=${join(host.folder, "run")}`]);
}

async function startWatch(host: ProxyHost, flags: readonly string[]): Promise<HostProgram> {
  const watch = svcproxy(host, ["trace", "--watch", "--json", "--for", "60s", ...flags]);
  await watch.says("now connect from");
  return watch;
}

/** Ends it as soon as it has shown so many packets, and whatever comes in half a second. */
async function endOfWatch(watch: HostProgram, packets: number): Promise<readonly Watched[]> {
  await until(
    async () => watch.stdout.split("\n").length > packets,
    () => `it shows too little: ${watch.stdout}${watch.stderr}`,
  );
  await new Promise((resolve) => setTimeout(resolve, 500));
  await watch.kill("SIGINT");
  return watch.stdout
    .trim()
    .split("\n")
    .map((line): Watched => JSON.parse(line));
}
