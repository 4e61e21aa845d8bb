import { whyNoKernelTests } from "@svcproxy/lab";
import { describe, expect, test } from "vitest";
import { ProxyHost, until } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests(["ip", "unshare", "nsenter", "curl", "prlimit", "mkfifo"]);

const VIP = "10.96.0.1";
const HEALTH_PORT = 31_060;

/** Attacks on `svcproxy userspace` that took it down once; each with a bound. */
describe.skipIf(reason !== undefined)(
  `attacks on svcproxy userspace${reason === undefined ? "" : ` (${reason})`}`,
  { concurrent: true, timeout: 90_000 },
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
