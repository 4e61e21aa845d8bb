import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl", "prlimit", "mkfifo"]);

const VIP = "10.96.0.1";
const HEALTH_PORT = 31_060;

/** Attacks on `svcproxy userspace` that took it down once; each with a bound. */
describe.skipIf(reason !== undefined)(
  `attacks on svcproxy userspace${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 300_000 },
  () => {
    test("idle connections to health checks and metrics keep nobody from being served", async () => {
      await using host = await ProxyHost.create();
      await startServer(host);
      const proxy = await serving(host, { prefix: ["prlimit", "--nofile=256:256"] });
      const attacker = host.startScript(HOLD_MANY, `${HEALTH_PORT}`, "9464", "300");
      await attacker.says("holding");
      // The machine's addresses are looked at every 5 seconds, which takes a descriptor.
      for (let round = 0; round < 7; round++) {
        expect(await host.shell(`curl -s -m 5 http://${VIP}/`)).toBe("one");
        expect(await host.shell("curl -s -m 5 http://127.0.0.1:9464/readyz")).toBe("ready\n");
        expect(await host.shell(`curl -s -m 5 http://127.0.0.1:${HEALTH_PORT}/`)).toContain("localEndpoints");
        await new Promise((resolve) => setTimeout(resolve, 1_000));
      }
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

    test("connections to the service beyond the descriptors are reset, and leave the rest alone", async () => {
      await using host = await ProxyHost.create();
      await startServer(host);
      const proxy = await serving(host, { prefix: ["prlimit", "--nofile=256:256"] });
      const attacker = host.startScript(HOLD_MANY, "80", "80", "400", VIP);
      await attacker.says("holding");
      expect(await host.shell("curl -s -m 5 http://127.0.0.1:9464/readyz")).toBe("ready\n");
      const metrics = await host.shell("curl -s -m 5 http://127.0.0.1:9464/metrics");
      expect(metrics).toMatch(/reason="max-connections".*\} [1-9]/);
      await attacker.kill("SIGKILL");
      await until(
        async () => (await host.shell(`curl -s -m 5 http://${VIP}/ || true`)) === "one",
        () => "it does not serve any more",
      );
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

    test("where this host's ports are used up, connections beyond are reset and said, and the rest goes on", async () => {
      await using host = await ProxyHost.create();
      await startServer(host);
      await host.shell("echo 40000 40015 > /proc/sys/net/ipv4/ip_local_port_range");
      const proxy = await serving(host, {});
      await host.shell("ip link set lo up");
      const attacker = host.startScript(HOLD_FROM_MANY, VIP);
      await proxy.says("this host cannot dial");
      expect(proxy.stderr).toContain('"code":"EADDRNOTAVAIL"');
      await attacker.kill("SIGKILL");
      await until(
        async () => (await host.shell(`curl -s -m 5 http://${VIP}/ || true`)) === "one",
        () => "it does not serve any more",
      );
      expect(proxy.stderr).not.toContain("passed over for a while");
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

    test("whoever opens connections to the metrics again and again keeps nobody from them", async () => {
      await using host = await ProxyHost.create();
      await startServer(host);
      const proxy = await serving(host, {});
      const attacker = host.startScript(RECONNECT, "9464");
      await attacker.says("going");
      // On a busy machine so many come between its connection and its request that it has to come again.
      const ask = "curl -s -m 5 --retry 5 --retry-all-errors --retry-delay 1 http://127.0.0.1:9464/readyz";
      for (let round = 0; round < 20; round++) expect(await host.shell(ask)).toBe("ready\n");
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

    test("who holds the control socket open, or sends it a byte now and then, keeps nobody from it", async () => {
      await using host = await ProxyHost.create();
      await startServer(host);
      const proxy = await serving(host, {});
      const attacker = host.startScript(SLOW_CONTROL, `${host.folder}/run`);
      await attacker.says("holding");
      await until(
        async () => (await host.svcproxy(["userspace", "status"]).end()) === 0,
        () => "the status cannot be asked for",
      );
      await attacker.kill("SIGKILL");
      expect(await proxy.kill("SIGTERM")).toBe(0);
    });

    test("one UDP datagram to two hosts whose endpoints are each other's NodePorts does not circle", async () => {
      await using first = await ProxyHost.create();
      await using second = await ProxyHost.create();
      const { pid } = second.namespace;
      await first.shell(`ip link add to-peer type veth peer name to-peer netns ${pid}
        ip address add 10.77.0.1/24 dev to-peer; ip link set to-peer up; ip link set lo up`);
      await second.shell("ip address add 10.77.0.2/24 dev to-peer; ip link set to-peer up; ip link set lo up");
      for (const [host, name] of [
        [first, "node1"],
        [second, "node2"],
      ] as const) {
        const proxy = host.svcproxy(["userspace", await host.writeTopology(LOOP), "--host", name]);
        await proxy.serves();
      }
      await first.shell("printf x | curl -s -m 1 --data-binary @- telnet://10.77.0.2:30080 || true");
      const client = first.startScript(ONE_DATAGRAM, "10.77.0.2", "30053");
      await client.end();
      await new Promise((resolve) => setTimeout(resolve, 1_000));
      const link = await first.shell("ip -s link show to-peer");
      const [, packets] = /RX:.*\n\s*\d+\s+(\d+)/.exec(link) ?? [];
      expect(Number(packets)).toBeLessThan(100);
    });

    test.for([
      { name: "a FIFO", put: (path: string) => `mkfifo ${path}` },
      { name: "a device", put: (path: string) => `mknod ${path} c 1 5` },
      { name: "a directory", put: (path: string) => `mkdir ${path}` },
      { name: "a file without an end", put: (path: string) => `truncate -s 100G ${path}` },
    ])(
      "--watch where $name comes in the file's place: said, the old plan stays, and following goes on",
      async ({ put }) => {
        await using host = await ProxyHost.create();
        await startServer(host);
        const proxy = await serving(host, { args: ["--watch"] });
        const path = `${host.folder}/topology.yaml`;
        await host.shell(`rm ${path}; ${put(path)}`);
        await proxy.says("the old plan stays");
        expect(await host.shell(`curl -s -m 5 http://${VIP}/`)).toBe("one");
        await host.shell(`rm -r ${path}`);
        await host.writeTopology(topologyOf("10.96.0.2"));
        await until(
          async () => (await host.shell("curl -s -m 5 http://10.96.0.2/ || true")) === "one",
          () => `it does not follow any more: ${proxy.stderr}`,
        );
      },
    );
  },
);

async function serving(
  host: ProxyHost,
  { prefix = [], args = [] }: { readonly prefix?: readonly string[]; readonly args?: readonly string[] },
) {
  const file = await host.writeTopology(topologyOf(VIP));
  const flags = ["--host", "a", "--metrics", "127.0.0.1:9464", "--drain-timeout", "1s", ...args];
  const proxy = host.svcproxy(["userspace", file, ...flags], prefix);
  await proxy.serves();
  return proxy;
}

function topologyOf(vip: string): unknown {
  return {
    hosts: [{ name: "a", address: "127.0.1.1" }],
    services: [
      {
        name: "web",
        clusterIP: vip,
        ports: [{ port: 80 }],
        loadBalancerIPs: ["203.0.113.60"],
        externalTrafficPolicy: "Local",
        healthCheckNodePort: HEALTH_PORT,
        endpoints: ["127.0.1.1:8080"],
      },
    ],
  };
}

async function startServer(host: ProxyHost): Promise<void> {
  const server = host.startScript(`
    import { createServer } from "node:http";
    createServer((request, response) => response.end("one")).listen(8080, "127.0.1.1", () => console.log("up"));`);
  await server.says("up");
}

/** Opens connections to two ports and says nothing on them; those that are closed are opened again after 3 s. */
const HOLD_MANY = `
  import { connect } from "node:net";
  const [, first, second, connections, host = "127.0.0.1"] = process.argv;
  let tried = 0;
  const count = () => { if (++tried === 100) console.log("holding"); };
  const hold = (port) => {
    const socket = connect({ port, host });
    // A busy machine tells of a reset before it has told of the connection.
    socket.on("error", count);
    socket.on("connect", count);
    socket.on("close", () => setTimeout(() => hold(port), 3_000));
  };
  for (let index = 0; index < Number(connections); index++) hold(Number(index % 2 === 0 ? first : second));
  setTimeout(() => process.exit(0), 60_000);
`;

/** Connections from many addresses of the host, so that the proxy has more to dial than it has ports. */
const HOLD_FROM_MANY = `
  import { connect } from "node:net";
  for (let index = 1; index <= 60; index++) {
    const socket = connect({ host: process.argv[1], port: 80, localAddress: "127.0.9." + index });
    socket.on("error", () => {});
  }
  setTimeout(() => process.exit(0), 60_000);
`;

/** Opens connections as fast as it is let, and says nothing on them. */
const RECONNECT = `
  import { connect } from "node:net";
  const port = Number(process.argv[1]);
  let opened = 0;
  const open = () => {
    const socket = connect(port, "127.0.0.1");
    socket.on("error", () => {}).on("close", () => setImmediate(open));
    socket.on("connect", () => { if (++opened === 50) console.log("going"); });
  };
  for (let index = 0; index < 64; index++) open();
  setTimeout(() => process.exit(0), 30_000);
`;

/** Fills the control socket of a running proxy with connections that say a letter now and then. */
const SLOW_CONTROL = `
  import { readdirSync } from "node:fs";
  import { connect } from "node:net";
  const [, folder] = process.argv;
  const name = readdirSync(folder).find((entry) => entry.endsWith(".sock"));
  for (let index = 0; index < 8; index++) {
    const socket = connect(folder + "/" + name, () => console.log("holding"));
    socket.on("error", () => {});
    setInterval(() => socket.destroyed || socket.write(" "), 500);
  }
  setTimeout(() => process.exit(0), 30_000);
`;

const ONE_DATAGRAM = `
  import { createSocket } from "node:dgram";
  const [, address, port] = process.argv;
  const socket = createSocket("udp4");
  socket.send("x", Number(port), address, () => socket.close());
`;

const LOOP = {
  hosts: [
    { name: "node1", address: "10.77.0.1" },
    { name: "node2", address: "10.77.0.2" },
  ],
  services: [
    {
      name: "web",
      clusterIP: "10.96.0.1",
      ports: [{ port: 80, nodePort: 30_080 }],
      endpoints: ["10.77.0.1:30080", "10.77.0.2:30080"],
    },
    {
      name: "udp",
      clusterIP: "10.96.0.2",
      ports: [{ port: 53, nodePort: 30_053, protocol: "UDP" }],
      endpoints: ["10.77.0.1:30053", "10.77.0.2:30053"],
    },
  ],
};
