import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { connect } from "node:net";
import { pino } from "pino";
import { describe, expect, test } from "vitest";
import type { AccessRecord } from "../access-record.ts";
import { endpointOf, loopbackPlan, someVip } from "../testing/loopback-plan.ts";
import { startProxy, until } from "../testing/test-proxy.ts";
import { freePort, hearOut, startEcho, startNamed, startServer, talk } from "../testing/test-server.ts";

const PORT = 7070;

describe("a TCP frontend", () => {
  test.for(["127.0.0.1", "::1"])("carries a request there and back over %s", async (host) => {
    const echo = await startEcho(host);
    const vip = host === "::1" ? "::1" : someVip();
    const port = host === "::1" ? await freePort("::1") : PORT;
    await startProxy([{ vip, port, endpoints: [[host, echo.port]] }]);
    expect(await talk({ host: vip, port }, { send: "there and back" })).toEqual({ text: "there and back", code: "" });
  });

  test("gives every endpoint its share", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => startNamed(name)));
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: servers.map(({ port }) => ["127.0.0.1", port]) }]);
    for (let round = 0; round < 30; round++) {
      await Promise.all(Array.from({ length: 10 }, () => talk({ host: vip, port: PORT })));
    }
    // 300 draws among 3: the chance that one of them gets less than 60 is below one in a million.
    for (const server of servers) expect(server.count()).toBeGreaterThan(60);
  });

  test("refuses at once where there is no endpoint", async () => {
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [] }]);
    expect((await talk({ host: vip, port: PORT })).code).toBe("ECONNREFUSED");
    expect((await proxy.snapshot()).frontends[0]?.state).toEqual({ kind: "refusing" });
  });

  test("resets the kinds of clients that the plan refuses, and serves the others", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const forward = {
      kind: "forward",
      endpoints: [endpointOf(["127.0.0.1", echo.port])],
      masquerade: "external",
    } as const;
    await startProxy([{ vip, port: PORT, endpoints: [], clients: { host: { kind: "refuse" }, outside: forward } }]);
    expect((await talk({ host: vip, port: PORT }, { send: "x" })).code).toBe("ECONNRESET");
  });

  test("lets only source ranges in", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const { cidr } = { cidr: { address: endpointOf(["127.0.0.77", 1]).address, prefixLength: 32 } };
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]], sourceRanges: [cidr] }]);
    expect(await talk({ host: vip, port: PORT, localAddress: "127.0.0.77" }, { send: "x" })).toEqual({
      text: "x",
      code: "",
    });
    expect((await talk({ host: vip, port: PORT, localAddress: "127.0.0.78" }, { send: "x" })).code).toBe("ECONNRESET");
  });
});

describe("how a connection ends", () => {
  test("a client that says FIN still gets the whole answer", async () => {
    const server = await startServer((socket) => {
      let received = "";
      socket.on("data", (chunk) => {
        received += String(chunk);
      });
      socket.on("end", () => setTimeout(() => socket.end(`got ${received}`), 50));
    });
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    expect(await talk({ host: vip, port: PORT }, { send: "all of it" })).toEqual({ text: "got all of it", code: "" });
  });

  test("an endpoint that says FIN still hears the client out", async () => {
    const heard = Promise.withResolvers<string>();
    const server = await startServer((socket) => {
      let received = "";
      socket.end("goodbye");
      socket.on("data", (chunk) => {
        received += String(chunk);
      });
      socket.on("end", () => heard.resolve(received));
    });
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    const client = connect({ host: vip, port: PORT, allowHalfOpen: true });
    client.resume();
    await once(client, "end");
    client.end("one more thing");
    expect(await heard.promise).toBe("one more thing");
  });

  test("a reset by the endpoint is a reset to the client", async () => {
    const server = await startServer((socket) => setTimeout(() => socket.resetAndDestroy(), 50));
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    expect((await talk({ host: vip, port: PORT }, { fin: false })).code).toBe("ECONNRESET");
    expect((await proxy.snapshot()).frontends[0]?.counters.ended["endpoint-reset"]).toBe(1);
  });

  test("a reset by the client is a reset to the endpoint", async () => {
    const ended = Promise.withResolvers<string>();
    const server = await startServer((socket) => {
      socket.on("error", (error) => ended.resolve("code" in error ? String(error.code) : ""));
      socket.on("end", () => ended.resolve("FIN"));
      socket.write("x");
    });
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    const client = connect({ host: vip, port: PORT });
    await once(client, "data");
    client.resetAndDestroy();
    expect(await ended.promise).toBe("ECONNRESET");
  });

  test("what was said before a reset arrives", async () => {
    const words = randomBytes(200_000).toString("hex");
    const server = await startServer((socket) => {
      socket.write(words, () => setTimeout(() => socket.resetAndDestroy(), 100));
    });
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    expect(await talk({ host: vip, port: PORT }, { fin: false })).toEqual({ text: words, code: "ECONNRESET" });
  });

  test("a reset does not throw away what is on its way to a slow client: it is a FIN then", async () => {
    const server = await startServer((socket) => {
      socket.write(Buffer.alloc(24 * 1024 * 1024, "x"), () => socket.resetAndDestroy());
    });
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    const client = connect({ host: vip, port: PORT });
    await once(client, "connect");
    await new Promise((resolve) => setTimeout(resolve, 300)); // reads nothing while all buffers fill
    const { text, code } = await hearOut(client);
    const counters = (await proxy.snapshot()).frontends[0]?.counters;
    expect(counters?.ended["endpoint-reset"]).toBe(1);
    expect({ received: text.length, code }).toEqual({ received: counters?.bytesToClient, code: "" });
  });

  test("32 MiB go both ways at once, and arrive unchanged after a half-close", async () => {
    const echo = await startEcho();
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }]);
    const sent = createHash("sha256");
    const received = createHash("sha256");
    const client = connect({ host: vip, port: PORT, allowHalfOpen: true });
    client.on("data", (chunk) => received.update(chunk));
    for (let part = 0; part < 32; part++) {
      const bytes = randomBytes(1024 * 1024);
      sent.update(bytes);
      if (!client.write(bytes)) await once(client, "drain");
    }
    client.end();
    await once(client, "end");
    expect(received.digest("hex")).toBe(sent.digest("hex"));
  });
});

describe("timeouts", () => {
  test.for([
    { name: "idle", options: { idleTimeoutMs: 400 }, reason: "idle-timeout" },
    { name: "half-closed", options: { halfClosedTimeoutMs: 400 }, reason: "half-closed-timeout" },
  ] as const)("$name connections are reset", async ({ options, reason }) => {
    const server = await startServer((socket) => socket.resume());
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }], options);
    const { code } = await talk({ host: vip, port: PORT }, { fin: reason === "half-closed-timeout" });
    expect(code).toBe("ECONNRESET");
    expect((await proxy.snapshot()).frontends[0]?.counters.ended[reason]).toBe(1);
  });

  test("a client that never reads is reset once a write has stalled", async () => {
    const server = await startServer((socket) => socket.write(Buffer.alloc(32 * 1024 * 1024)));
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }], {
      stalledWriteTimeoutMs: 400,
    });
    const client = connect({ host: vip, port: PORT });
    client.on("error", () => {});
    client.pause();
    await until(
      async () => (await proxy.snapshot()).frontends[0]?.counters.ended["stalled-write-timeout"],
      (count) => count === 1,
    );
    client.destroy();
  });

  test("a connection on which something moves now and then stays", async () => {
    const echo = await startEcho();
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], { idleTimeoutMs: 2_500 });
    const client = connect({ host: vip, port: PORT });
    for (let beat = 0; beat < 6; beat++) {
      client.write("beat");
      await once(client, "data");
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
    client.end();
    expect((await hearOut(client)).code).toBe("");
  });
});

describe("backpressure", () => {
  test("ten stalled downloads of 1 GiB each stay under 100 MB more", async () => {
    const chunk = Buffer.alloc(1024 * 1024);
    let sentMiB = 0;
    const server = await startServer((socket) => {
      let left = 1024;
      const pump = () => {
        while (left-- > 0) {
          sentMiB++;
          if (!socket.write(chunk)) return;
        }
      };
      socket.on("drain", pump);
      pump();
    });
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", server.port]] }]);
    const before = process.memoryUsage.rss();
    const clients = Array.from({ length: 10 }, () => connect({ host: vip, port: PORT }).pause());
    await until(
      async () => (await proxy.snapshot()).frontends[0]?.counters.active,
      (active) => active === 10,
    );
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(sentMiB).toBeLessThan(10 * 64); // the endpoint waits
    expect(process.memoryUsage.rss() - before).toBeLessThan(100e6);
    for (const client of clients) client.destroy();
  });
});

describe("dead endpoints", () => {
  test("a dial that fails goes to another endpoint, and the dead one is passed over", async () => {
    const alive = await startNamed("alive");
    const dead = await freePort();
    const vip = someVip();
    const proxy = await startProxy([
      {
        vip,
        port: PORT,
        endpoints: [
          ["127.0.0.1", dead],
          ["127.0.0.1", alive.port],
        ],
      },
    ]);
    for (let dial = 0; dial < 40; dial++) {
      expect(await talk({ host: vip, port: PORT })).toEqual({ text: "alive", code: "" });
    }
    const endpoints = (await proxy.snapshot()).endpoints;
    const failed = endpoints.find(({ port }) => port === dead);
    expect(failed?.state).toBe("ejected");
    expect(failed?.counters.dialFailures["ECONNREFUSED"]).toBeLessThan(5);
    expect(failed?.counters.retries).toBe(failed?.counters.dialFailures["ECONNREFUSED"]);
  });

  test("each endpoint is tried once, then the client is reset", async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const vip = someVip();
    const records: AccessRecord[] = [];
    await startProxy([{ vip, port: PORT, endpoints: ports.map((port) => ["127.0.0.1", port]) }], {
      onConnectionEnd: (record) => records.push(record),
    });
    expect((await talk({ host: vip, port: PORT }, { fin: false })).code).toBe("ECONNRESET");
    expect(records).toMatchObject([{ reason: "dial-failed", termination: "SC", attempts: 3 }]);
  });

  test("active checks find an endpoint that went away, and that it is back", async () => {
    const steady = await startNamed("steady");
    const wavering = await startNamed("wavering");
    const vip = someVip();
    const endpoints = [
      ["127.0.0.1", steady.port],
      ["127.0.0.1", wavering.port],
    ] as const;
    const said: unknown[] = [];
    const logger = pino({ base: null }, { write: (line: string) => said.push(JSON.parse(line)) });
    const proxy = await startProxy([{ vip, port: PORT, endpoints }], { healthIntervalMs: 100, logger });
    const state = async () => (await proxy.snapshot()).endpoints.find(({ port }) => port === wavering.port)?.state;
    wavering.server.close();
    await until(state, (seen) => seen === "down");
    for (let dial = 0; dial < 10; dial++) expect((await talk({ host: vip, port: PORT })).text).toBe("steady");
    wavering.server.listen(wavering.port, "127.0.0.1");
    await until(state, (seen) => seen === "up");
    const about = { endpoints: [`tcp 127.0.0.1:${wavering.port}`] };
    expect(said).toMatchObject([
      { ...about, level: 40, msg: "endpoints fail their checks and are passed over" },
      { ...about, level: 30, msg: "endpoints answer their checks again" },
    ]);
  });
});

describe("affinity", () => {
  test("a client stays with its endpoint, and moves where that dies", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => startNamed(name)));
    const vip = someVip();
    await startProxy([
      { vip, port: PORT, endpoints: servers.map(({ port }) => ["127.0.0.1", port]), affinitySeconds: 60 },
    ]);
    const { text: first } = await talk({ host: vip, port: PORT });
    for (let dial = 0; dial < 10; dial++) expect((await talk({ host: vip, port: PORT })).text).toBe(first);
    servers["abc".indexOf(first)]?.server.close();
    const { text: second } = await talk({ host: vip, port: PORT });
    expect(second).not.toBe(first);
    for (let dial = 0; dial < 10; dial++) expect((await talk({ host: vip, port: PORT })).text).toBe(second);
  });

  test("other clients are spread", async () => {
    const servers = await Promise.all(["a", "b"].map((name) => startNamed(name)));
    const vip = someVip();
    await startProxy([
      { vip, port: PORT, endpoints: servers.map(({ port }) => ["127.0.0.1", port]), affinitySeconds: 60 },
    ]);
    const answers = new Set<string>();
    for (let client = 1; client <= 40; client++) {
      answers.add((await talk({ host: vip, port: PORT, localAddress: `127.0.0.${client}` })).text);
    }
    expect(answers).toEqual(new Set(["a", "b"]));
  });
});

describe("limits", () => {
  test.for([
    { name: "max-connections", options: { maxConnections: 5 } },
    { name: "max-per-client", options: { maxPerClient: 5 } },
  ] as const)("$name resets what is too much, and lets in again when there is room", async ({ name, options }) => {
    const echo = await startEcho();
    const vip = someVip();
    const lines: object[] = [];
    const logger = pino({ level: "warn" }, { write: (line) => lines.push(JSON.parse(line)) });
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], {
      ...options,
      logger,
    });
    const held = Array.from({ length: 5 }, () => connect({ host: vip, port: PORT }).on("error", () => {}));
    const active = async () => (await proxy.snapshot()).frontends[0]?.counters.active;
    await until(active, (count) => count === 5);
    expect((await talk({ host: vip, port: PORT }, { fin: false })).code).toBe("ECONNRESET");
    expect((await proxy.snapshot()).frontends[0]?.counters.ended[name]).toBe(1);
    expect(lines).toMatchObject([{ level: 40, limit: name, msg: expect.stringContaining(`--${name}`) }]);
    held.pop()?.destroy();
    await until(active, (count) => count === 4);
    expect(await talk({ host: vip, port: PORT }, { send: "in" })).toEqual({ text: "in", code: "" });
    for (const socket of held) socket.destroy();
  });
});

describe("the PROXY protocol", () => {
  test("v1 tells the endpoint who the client is", async () => {
    const echo = await startEcho();
    const vip = someVip();
    await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]], proxyProtocol: "v1" }]);
    const { text } = await talk({ host: vip, port: PORT, localAddress: "127.0.0.42" }, { send: "hello" });
    expect(text).toMatch(
      new RegExp(`^PROXY TCP4 127\\.0\\.0\\.42 ${vip.replaceAll(".", "\\.")} \\d+ 7070\\r\\nhello$`),
    );
  });
});

describe("changes", () => {
  test("a connection to an endpoint that stays is not touched, whatever else changes", async () => {
    const echo = await startEcho();
    const other = await startEcho();
    const vip = someVip();
    const endpoints = [["127.0.0.1", echo.port]] as const;
    const proxy = await startProxy([{ vip, port: PORT, endpoints }], { onRemove: "reset" });
    const client = connect({ host: vip, port: PORT });
    client.write("before");
    expect(String((await once(client, "data"))[0])).toBe("before");
    // New frontends, another endpoint instead of this one for new connections, and at last not even the frontend.
    const nextVip = someVip();
    await proxy.apply(
      loopbackPlan([
        { vip: nextVip, port: PORT, endpoints },
        { vip, port: PORT, endpoints },
      ]),
    );
    await proxy.apply(loopbackPlan([{ vip, port: PORT, endpoints: [["127.0.0.1", other.port]], unready: endpoints }]));
    await proxy.apply(loopbackPlan([{ vip: nextVip, port: PORT, endpoints }]));
    client.write("after");
    expect(String((await once(client, "data"))[0])).toBe("after");
    const states = async () =>
      (await proxy.snapshot()).frontends.map(({ address, state, counters }) => [address, state.kind, counters.active]);
    expect(await states()).toEqual([
      [nextVip, "listening", 0],
      [vip, "draining", 1],
    ]);
    expect((await talk({ host: vip, port: PORT })).code).toBe("ECONNREFUSED");
    expect((await talk({ host: nextVip, port: PORT }, { send: "new" })).text).toBe("new");
    client.destroy();
    await until(states, (seen) => seen.length === 1);
  });

  test("a frontend that comes back while it drains has its connections still", async () => {
    const echo = await startEcho();
    const services = [{ vip: someVip(), port: PORT, endpoints: [["127.0.0.1", echo.port]] }] as const;
    const proxy = await startProxy(services);
    const client = connect({ host: services[0].vip, port: PORT });
    client.write("before");
    await once(client, "data");
    await proxy.apply(loopbackPlan([]));
    await proxy.apply(loopbackPlan(services));
    const { frontends } = await proxy.snapshot();
    expect(frontends).toMatchObject([{ state: { kind: "listening" }, counters: { active: 1, connections: 1 } }]);
    client.destroy();
  });

  test.for([
    { onRemove: "reset", drainTimeoutMs: 30_000 },
    { onRemove: "drain", drainTimeoutMs: 500 },
  ] as const)("a connection to an endpoint that is removed ends: $onRemove", async (options) => {
    const echo = await startEcho();
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], options);
    const client = connect({ host: vip, port: PORT });
    client.write("x");
    await once(client, "data");
    const end = hearOut(client);
    await proxy.apply(loopbackPlan([]));
    if (options.onRemove === "drain") client.write("still there");
    expect(await end).toEqual({ code: "ECONNRESET", text: options.onRemove === "drain" ? "still there" : "" });
  });

  test("a port that is taken is reported with its holder, does not stop others, and is tried again by the next plan", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const holder = await startServer(() => {}, vip);
    const endpoints = [["127.0.0.1", echo.port]] as const;
    const services = [
      { vip, port: holder.port, endpoints },
      { vip, port: PORT, endpoints },
    ];
    const proxy = await startProxy(services);
    const states = (await proxy.snapshot()).frontends.map(({ state }) => state);
    expect(states).toMatchObject([
      { kind: "failed", code: "EADDRINUSE", holder: { pid: process.pid } },
      { kind: "listening" },
    ]);
    holder.server.close();
    expect(await proxy.apply(loopbackPlan(services), { changed: new Set() })).toMatchObject({
      changed: true,
      opened: 1,
    });
    expect((await talk({ host: vip, port: holder.port }, { send: "now" })).text).toBe("now");
  });

  test("an address that is not there is said, and SCTP too", async () => {
    const proxy = await startProxy([
      { vip: "203.0.113.7", port: PORT, endpoints: [["127.0.0.1", 1]] },
      { vip: someVip(), port: PORT, protocol: "sctp", endpoints: [["127.0.0.1", 1]] },
    ]);
    const { frontends } = await proxy.snapshot();
    expect(frontends.map(({ state }) => state)).toMatchObject([
      { kind: "failed", code: "EADDRNOTAVAIL", reason: "203.0.113.7 is not an address of this host" },
      { kind: "unsupported", reason: "Node has no SCTP sockets" },
    ]);
  });
});

describe("the end", () => {
  test("draining refuses new connections, waits for old ones, and resets what is left", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }]);
    const quick = connect({ host: vip, port: PORT });
    const slow = connect({ host: vip, port: PORT });
    for (const client of [quick, slow]) {
      client.write("x");
      await once(client, "data");
    }
    const drained = proxy.drain(700);
    await until(
      () => talk({ host: vip, port: PORT }),
      ({ code }) => code === "ECONNREFUSED",
    );
    quick.end("last words");
    expect(await hearOut(quick)).toEqual({ text: "last words", code: "" });
    expect((await hearOut(slow)).code).toBe("ECONNRESET");
    await drained;
  });
});
