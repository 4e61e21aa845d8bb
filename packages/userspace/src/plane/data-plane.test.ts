import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { performance } from "node:perf_hooks";
import { describe, expect, onTestFinished, test } from "vitest";
import { compileService } from "../policy/compile-service.ts";
import { LocalLimiter } from "../policy/connection-limiter.ts";
import { DEFAULT_PROXY_OPTIONS } from "../proxy-options.ts";
import { ip, loopbackPlan, someVip, type TestEndpoint } from "../testing/loopback-plan.ts";
import { until } from "../testing/test-proxy.ts";
import { freePort, hearOut, startEcho, startNamed, startServer, talk } from "../testing/test-server.ts";
import { Worker } from "../workers/worker.ts";
import type { DataPlane } from "./byte-stream.ts";
import { handleDataPlane } from "./handle-streams.ts";
import { loadNativeHandles } from "./native-handles.ts";
import { socketDataPlane } from "./socket-streams.ts";

const PORT = 7474;

const native = loadNativeHandles();
const sockets = socketDataPlane();
if (native === undefined || sockets === undefined) throw new Error("this Node has not both data planes");
const planes: readonly DataPlane[] = [handleDataPlane(native), sockets];

/** What every data plane must do; the rest of the tests runs on the first one. */
describe.for(planes)("on $name", (plane) => {
  function serve(endpoints: readonly TestEndpoint[]): { worker: Worker; host: string; port: number } {
    const vip = someVip();
    const options = DEFAULT_PROXY_OPTIONS;
    const limiter = new LocalLimiter(options, () => performance.now());
    const fault = (error: unknown) => expect.unreachable(String(error));
    const worker = new Worker({
      options,
      plane,
      limiter,
      reports: { dialFailed: () => {}, overLimit: () => {}, refused: () => {}, fault },
    });
    onTestFinished(() => worker.close());
    const { frontends, endpoints: listed } = compileService(loopbackPlan([{ vip, port: PORT, endpoints }]).ports);
    worker.apply({ endpoints: listed.map((endpoint) => ({ ...endpoint, services: [] })), frontends });
    for (const { key, address, port } of frontends) worker.listenTcp(key, plane.bind(address, port));
    return { worker, host: vip, port: PORT };
  }

  test("4 MiB come back unchanged after a half-close", async () => {
    const echo = await startEcho();
    const { host, port } = serve([["127.0.0.1", echo.port]]);
    const bytes = randomBytes(4 * 1024 * 1024);
    const received = createHash("sha256");
    const client = connect({ host, port, allowHalfOpen: true });
    client.on("data", (chunk) => received.update(chunk));
    client.end(bytes);
    await once(client, "end");
    expect(received.digest("hex")).toBe(createHash("sha256").update(bytes).digest("hex"));
  });

  test("a port that is taken is an error with its code", async () => {
    const { host, port } = serve([["127.0.0.1", 1]]);
    expect(() => plane.bind(ip(host), port)).toThrow(expect.objectContaining({ code: "EADDRINUSE" }));
  });

  test("a dial that is refused goes to another endpoint", async () => {
    const alive = await startNamed("alive");
    const { host, port } = serve([
      ["127.0.0.1", await freePort()],
      ["127.0.0.1", alive.port],
    ]);
    for (let dial = 0; dial < 10; dial++) expect((await talk({ host, port })).text).toBe("alive");
  });

  test("resets go through in both directions", async () => {
    const seen = Promise.withResolvers<string>();
    const server = await startServer((socket) => {
      socket.on("error", (error) => seen.resolve("code" in error ? String(error.code) : ""));
      socket.once("data", (word) => {
        if (String(word) === "reset me") setTimeout(() => socket.resetAndDestroy(), 20);
        else socket.write("x");
      });
    });
    const { host, port } = serve([["127.0.0.1", server.port]]);
    expect((await talk({ host, port }, { send: "reset me", fin: false })).code).toBe("ECONNRESET");
    const client = connect({ host, port });
    client.write("hello");
    await once(client, "data");
    client.resetAndDestroy();
    expect(await seen.promise).toBe("ECONNRESET");
  });

  test("a client that does not read makes the endpoint wait, and gets everything in the end", async () => {
    const size = 64 * 1024 * 1024;
    let sent = 0;
    const server = await startServer((socket) => {
      const chunk = Buffer.alloc(1024 * 1024);
      const pump = () => {
        while (sent < size) {
          sent += chunk.length;
          if (!socket.write(chunk)) return;
        }
        socket.end();
      };
      socket.on("drain", pump);
      pump();
    });
    const { host, port } = serve([["127.0.0.1", server.port]]);
    const client = connect({ host, port });
    await once(client, "connect");
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(sent).toBeLessThan(size);
    let received = 0;
    client.on("data", (chunk) => {
      received += chunk.length;
    });
    await once(client, "end");
    expect(received).toBe(size);
  });

  test("nothing is left when all connections have ended", async () => {
    const echo = await startEcho();
    const { worker, host, port } = serve([["127.0.0.1", echo.port]]);
    const clients = Array.from({ length: 20 }, () => connect({ host, port }).on("error", () => {}));
    for (const client of clients) client.write("x");
    await until(
      () => worker.read().connections,
      (count) => count === 20,
    );
    for (const [index, client] of clients.entries()) {
      if (index % 2 === 0) client.resetAndDestroy();
      else client.end();
    }
    await Promise.all(clients.filter((_, index) => index % 2 === 1).map((client) => hearOut(client)));
    await until(
      () => worker.read(),
      ({ connections }) => connections === 0,
    );
    await until(
      () => echo.sockets.size,
      (count) => count === 0,
    );
  });
});
