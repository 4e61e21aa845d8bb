import { whyNoKernelTests } from "@svcproxy/lab";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ProxyHost } from "../testing/proxy-host.ts";

const reason = whyNoKernelTests([
  ...["ip", "unshare", "nsenter", "curl", "sha256sum"],
  ...["redis-cli", "redis-check-rdb", "redis-benchmark", "dnsmasq", "dig"],
]);

const VIP = "10.96.0.1";
const BACKEND = "127.0.1.1";
const DOWNLOAD_BYTES = 256 * 1024 ** 2;

describe.skipIf(reason !== undefined)(
  `real clients through svcproxy userspace${reason === undefined ? "" : ` (${reason})`}`,
  { timeout: 300_000 },
  () => {
    let host: ProxyHost;

    beforeAll(async () => {
      host = await ProxyHost.create();
      // Debian's redis-server is this program under another name; its package would start a service.
      const redisServer = `${host.folder}/redis-server`;
      await host.shell(`ln -s "$(command -v redis-check-rdb)" ${redisServer}`);
      const servers = [
        host.startScript(HTTP_SERVER, BACKEND, String(DOWNLOAD_BYTES)),
        host.startScript(WEBSOCKET_SERVER, BACKEND),
        host.start([redisServer, "--port", "6379", "--bind", BACKEND, "--save", ""]),
        host.start([
          "dnsmasq",
          "--keep-in-foreground",
          "--no-resolv",
          "--no-hosts",
          "--user=root",
          "--log-facility=-",
          ...DNS_FLAGS,
        ]),
      ];
      const saysItServes = ["listening", "listening", "Ready to accept connections", "started"];
      await Promise.all(servers.map((server, index) => server.says(saysItServes[index] ?? "")));
      const ports = [80, 81, 6379, 53].map((port) => ({ port, targetPort: port, name: `p${port}` }));
      const file = await host.writeTopology({
        hosts: [{ name: "a", address: "192.0.2.1" }],
        services: [
          ...ports.map((port) => ({
            name: port.name,
            clusterIP: VIP,
            ports: [port],
            endpoints: [`${BACKEND}:${port.port}`],
          })),
          { name: "udp", clusterIP: VIP, ports: [{ port: 53, protocol: "UDP" }], endpoints: [`${BACKEND}:53`] },
        ],
      });
      const proxy = host.svcproxy(["userspace", file, "--host", "a", "--require-all"]);
      await proxy.serves();
    }, 60_000);

    afterAll(() => host[Symbol.asyncDispose]());

    test("curl keeps its connection", async () => {
      const url = `http://${VIP}/small`;
      const text = await host.shell(
        `curl -sS -m 20 -w '%{num_connects} ' -o /dev/null ${url} -o /dev/null ${url} -o /dev/null ${url}`,
      );
      expect(text).toBe("1 0 0 ");
    });

    test("curl downloads a quarter of a gibibyte, and every byte is right", async () => {
      const [received = "", expected] = await Promise.all([
        host.shell(`curl -sS -m 100 http://${VIP}/large | sha256sum`),
        host.shell(`curl -sS -m 100 http://${VIP}/large-digest`),
      ]);
      expect(received.split(" ")[0]).toBe(expected);
    });

    test("curl uploads, and every byte is right", async () => {
      const text = await host.shell(
        `head -c 100000000 /dev/urandom > ${host.folder}/up && sha256sum < ${host.folder}/up && curl -sS -m 60 -T ${host.folder}/up http://${VIP}/digest`,
      );
      const [sent, received] = text.split("\n");
      expect(received).toBe(sent?.split(" ")[0]);
    });

    test("a WebSocket says hello, is answered, and closes with its code", async () => {
      const client = host.startScript(WEBSOCKET_CLIENT, VIP);
      expect(await client.end()).toBe(0);
      expect(client.stdout).toBe("echo 0\necho 1\necho 2\nclosed 4001\n");
    });

    test("redis-cli sets and gets; redis-benchmark pipelines", async () => {
      const cli = `redis-cli -h ${VIP}`;
      expect(await host.shell(`${cli} SET key value && ${cli} GET key`)).toBe("OK\nvalue\n");
      const csv = await host.shell(`redis-benchmark -h ${VIP} -n 20000 -c 20 -P 16 -t set,get --csv`);
      expect(csv.split("\n").filter((line) => /^"(SET|GET)"/.test(line))).toHaveLength(2);
      expect(await host.shell(`${cli} DBSIZE`)).not.toBe("0\n");
    });

    test("dig asks a DNS server over UDP, and over TCP", async () => {
      for (const flags of ["", "+tcp"]) {
        expect(await host.shell(`dig +short ${flags} @${VIP} web.example.test A`)).toBe("192.0.2.77\n");
      }
      expect(await host.shell(`dig +short +notcp +bufsize=4096 +ignore @${VIP} big.example.test TXT | wc -l`)).toBe(
        "12\n",
      );
    });

    test("two hundred questions over UDP are all answered", async () => {
      const text = await host.shell(
        `for i in $(seq 200); do echo "web.example.test A"; done > ${host.folder}/questions && dig +short @${VIP} -f ${host.folder}/questions`,
      );
      expect(text.split("\n").filter((line) => line === "192.0.2.77")).toHaveLength(200);
    });
  },
);

const DNS_FLAGS = [
  "--listen-address=127.0.1.1",
  "--bind-interfaces",
  "--edns-packet-max=4096",
  "--address=/web.example.test/192.0.2.77",
  ...Array.from({ length: 12 }, (_, index) => `--txt-record=big.example.test,${index}${"x".repeat(100)}`),
];

/** `/small`; `/large` streams pseudo-random bytes, `/large-digest` is their SHA-256; `PUT /digest` answers with the digest of the body. */
const HTTP_SERVER = `
  import { createHash } from "node:crypto";
  import { createServer } from "node:http";
  import { Readable } from "node:stream";
  import { pipeline } from "node:stream/promises";
  const [address, length] = process.argv.slice(1);
  const pool = Buffer.alloc(1 << 20);
  for (let i = 0; i < pool.length; i += 4) pool.writeInt32LE(Math.imul(i, 2654435761) | 0, i);
  function* large() { for (let sent = 0; sent < Number(length); sent += pool.length) yield pool; }
  const digest = createHash("sha256");
  for (const chunk of large()) digest.update(chunk);
  const expected = digest.digest("hex");
  createServer(async (request, response) => {
    if (request.url === "/large") return pipeline(Readable.from(large()), response).catch(() => {});
    if (request.url === "/large-digest") return response.end(expected);
    const hash = createHash("sha256");
    for await (const chunk of request) hash.update(chunk);
    response.end(request.url === "/digest" ? hash.digest("hex") : "small");
  }).listen(80, address, () => console.log("listening"));`;

const WEBSOCKET_SERVER = `
  import { WebSocketServer } from "ws";
  const server = new WebSocketServer({ host: process.argv[1], port: 81 }, () => console.log("listening"));
  server.on("connection", (socket) => socket.on("message", (data) => socket.send("echo " + data)));`;

/** Node's own client, which is not the server's library. */
const WEBSOCKET_CLIENT = `
  const socket = new WebSocket("ws://" + process.argv[1] + ":81/");
  let answers = 0;
  socket.onopen = () => { for (let index = 0; index < 3; index++) socket.send(String(index)); };
  socket.onmessage = ({ data }) => { console.log(data); if (++answers === 3) socket.close(4001); };
  socket.onclose = ({ code }) => console.log("closed " + code);
  socket.onerror = () => { process.exitCode = 1; };`;
