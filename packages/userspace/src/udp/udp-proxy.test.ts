import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import type { AccessRecord } from "../access-record.ts";
import { endpointOf, loopbackPlan, someVip } from "../testing/loopback-plan.ts";
import { startProxy, until } from "../testing/test-proxy.ts";

const PORT = 5353;
const BUFFER_BYTES = 4 * 1024 * 1024;

async function openSocket(address = "127.0.0.1", port = 0): Promise<Socket> {
  const socket = createSocket({ type: address.includes(":") ? "udp6" : "udp4", recvBufferSize: BUFFER_BYTES });
  socket.bind(port, address);
  await once(socket, "listening");
  onTestFinished(() => {
    try {
      socket.close();
    } catch {
      // closed by the test
    }
  });
  return socket;
}

/** Answers each datagram with what it got, `name` before it. */
async function startUdpEcho(
  name = "",
  address?: string,
): Promise<{ socket: Socket; port: number; clients: Set<number> }> {
  const socket = await openSocket(address);
  const clients = new Set<number>();
  socket.on("message", (message, from) => {
    clients.add(from.port);
    socket.send(Buffer.concat([Buffer.from(name), message]), from.port, from.address);
  });
  return { socket, port: socket.address().port, clients };
}

async function ask(
  socket: Socket,
  { vip, send }: { vip: string; send: string | Buffer },
): Promise<{ text: string; from: string }> {
  const answer = once(socket, "message");
  socket.send(send, PORT, vip);
  const [message, from] = await answer;
  return { text: String(message), from: `${from.address}:${from.port}` };
}

describe("a UDP frontend", () => {
  test("answers from the VIP itself", async () => {
    const echo = await startUdpEcho();
    const vip = someVip();
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]] }]);
    expect(await ask(await openSocket(), { vip, send: "hello" })).toEqual({ text: "hello", from: `${vip}:${PORT}` });
  });

  test("serves IPv6", async () => {
    const echo = await startUdpEcho("", "::1");
    const probe = await openSocket("::1");
    const { port } = probe.address();
    probe.close();
    await startProxy([{ vip: "::1", port, protocol: "udp", endpoints: [["::1", echo.port]] }]);
    const client = await openSocket("::1");
    const answer = once(client, "message");
    client.send("six", port, "::1");
    expect(String((await answer)[0])).toBe("six");
  });

  test.for([0, 1, 1_472, 65_507])("carries datagrams of %i bytes whole", async (size) => {
    const echo = await startUdpEcho();
    const vip = someVip();
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]] }]);
    const client = await openSocket();
    const answer = once(client, "message");
    client.send(Buffer.alloc(size, 7), PORT, vip);
    expect((await answer)[0]).toEqual(Buffer.alloc(size, 7));
  });

  test("keeps a client with its endpoint while the session lasts", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => startUdpEcho(name)));
    const vip = someVip();
    const endpoints = servers.map(({ port }) => ["127.0.0.1", port] as const);
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const client = await openSocket();
    const answers = new Set<string>();
    for (let round = 0; round < 20; round++) answers.add((await ask(client, { vip, send: "" })).text);
    expect(answers.size).toBe(1);
  });

  test("10,000 datagrams in a burst arrive", async () => {
    const sink = await openSocket();
    let received = 0;
    sink.on("message", () => {
      received++;
    });
    const vip = someVip();
    const endpoints = [["127.0.0.1", sink.address().port]] as const;
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const client = await openSocket();
    for (let burst = 0; burst < 20; burst++) {
      for (let count = 0; count < 500; count++) client.send("0123456789", PORT, vip);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(
      () => received,
      (count) => count === 10_000,
    );
    expect((await proxy.snapshot()).frontends[0]?.counters).toMatchObject({
      datagramsFromClient: 10_000,
      datagramsDropped: 0,
    });
  });

  test("a port without a listener moves the session on, and the datagram is not lost", async () => {
    const alive = await startUdpEcho("alive ");
    const gone = await openSocket();
    const deadPort = gone.address().port;
    gone.close();
    const vip = someVip();
    const endpoints = [
      ["127.0.0.1", deadPort],
      ["127.0.0.1", alive.port],
    ] as const;
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    for (let round = 0; round < 12; round++) {
      expect((await ask(await openSocket(), { vip, send: "hello" })).text).toBe("alive hello");
    }
    const dead = (await proxy.snapshot()).endpoints.find(({ port }) => port === deadPort);
    expect(dead).toMatchObject({ state: "ejected", counters: { active: 0 } });
  });

  test("an endpoint that dies in the middle of a session is left for another, and no question is lost", async () => {
    const [first, second] = [await startUdpEcho("first "), await startUdpEcho("second ")];
    const vip = someVip();
    const endpoints = [first, second].map(({ port }) => ["127.0.0.1", port] as const);
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const client = await openSocket();
    const { text } = await ask(client, { vip, send: "1" });
    const [dying, left] = text.startsWith("first") ? [first, "second"] : [second, "first"];
    dying.socket.close();
    // The kernel answers this one with an ICMP error.
    expect((await ask(client, { vip, send: "2" })).text).toBe(`${left} 2`);
    expect((await ask(client, { vip, send: "3" })).text).toBe(`${left} 3`);
  });

  test("a question of more than 4 KiB is not kept for another endpoint, but the session moves on", async () => {
    const [first, second] = [await startUdpEcho("first "), await startUdpEcho("second ")];
    const vip = someVip();
    const endpoints = [first, second].map(({ port }) => ["127.0.0.1", port] as const);
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const client = await openSocket();
    const { text } = await ask(client, { vip, send: "1" });
    const [dying, left] = text.startsWith("first") ? [first, "second"] : [second, "first"];
    dying.socket.close();
    const heard: string[] = [];
    client.on("message", (message) => heard.push(String(message)));
    client.send("x".repeat(4097), PORT, vip);
    await until(
      async () => (await proxy.snapshot()).endpoints.filter(({ state }) => state === "ejected").length,
      (ejected) => ejected === 1,
    );
    await ask(client, { vip, send: "3" });
    expect(heard).toEqual([`${left} 3`]);
  });

  test.for([
    { name: "answered", options: { udpIdleTimeoutMs: 300 }, answers: true },
    { name: "one-way", options: { udpOneWayTimeoutMs: 300 }, answers: false },
  ])("an idle session ends: $name", async ({ options, answers }) => {
    const echo = answers ? await startUdpEcho() : { port: (await openSocket()).address().port };
    const vip = someVip();
    const records: AccessRecord[] = [];
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]] }], {
      ...options,
      onConnectionEnd: (record) => records.push(record),
    });
    const client = await openSocket();
    client.send("x", PORT, vip);
    await until(
      () => records.length,
      (count) => count === 1,
    );
    expect(records[0]).toMatchObject({ protocol: "udp", reason: "done", bytesFromClient: 1 });
    expect((await proxy.snapshot()).workers[0]?.udpSessions).toBe(0);
  });

  test("where there is no room for a session the one idle longest leaves", async () => {
    const echo = await startUdpEcho();
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]] }], {
      maxUdpSessions: 3,
    });
    const clients = await Promise.all([1, 2, 3, 4].map(() => openSocket()));
    for (const client of clients) {
      await ask(client, { vip, send: "x" });
      await new Promise((resolve) => setTimeout(resolve, 120)); // one tick of the proxy's clock
    }
    expect((await proxy.snapshot()).frontends[0]?.counters).toMatchObject({ active: 3, ended: { evicted: 1 } });
    const [first] = clients;
    if (first !== undefined) expect((await ask(first, { vip, send: "again" })).text).toBe("again");
  });

  test("sessions of an endpoint that leaves the plan go on with another", async () => {
    const [a, b] = [await startUdpEcho("a"), await startUdpEcho("b")];
    const vip = someVip();
    const service = { vip, port: PORT, protocol: "udp" } as const;
    const proxy = await startProxy([{ ...service, endpoints: [["127.0.0.1", a.port]] }]);
    const client = await openSocket();
    expect((await ask(client, { vip, send: "" })).text).toBe("a");
    await proxy.apply(loopbackPlan([{ ...service, endpoints: [["127.0.0.1", b.port]] }]));
    expect((await ask(client, { vip, send: "" })).text).toBe("b");
  });

  test("clients stick to their endpoint beyond a session", async () => {
    const servers = await Promise.all(["a", "b", "c"].map((name) => startUdpEcho(name)));
    const vip = someVip();
    const endpoints = servers.map(({ port }) => ["127.0.0.1", port] as const);
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints, affinitySeconds: 60 }]);
    const answers = new Set<string>();
    for (let round = 0; round < 15; round++) answers.add((await ask(await openSocket(), { vip, send: "" })).text);
    expect(answers.size).toBe(1);
  });

  test("without an endpoint the kernel says at once that nobody is there", async () => {
    const vip = someVip();
    await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [] }]);
    const client = await openSocket();
    client.connect(PORT, vip);
    await once(client, "connect");
    client.send("x");
    const [error] = await once(client, "error");
    expect(error).toMatchObject({ code: "ECONNREFUSED" });
  });

  test("whose endpoints are out of everybody's reach is silent, and serves once one is in reach", async () => {
    const echo = await startUdpEcho();
    const vip = someVip();
    const drop = { kind: "drop" } as const;
    const service = { vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]] } as const;
    const proxy = await startProxy([{ ...service, clients: { pod: drop, host: drop, outside: drop } }]);
    const client = await openSocket();
    client.connect(PORT, vip);
    await once(client, "connect");
    const heard: string[] = [];
    client.on("error", ({ message }) => heard.push(message));
    client.on("message", (message) => heard.push(String(message)));
    client.send("x");
    await until(
      async () => (await proxy.snapshot()).frontends[0]?.counters.datagramsDropped,
      (dropped) => dropped === 1,
    );
    expect(heard).toEqual([]);
    await proxy.apply(loopbackPlan([service]));
    client.send("y");
    await until(
      () => heard.length,
      (count) => count > 0,
    );
    expect(heard).toEqual(["y"]);
  });

  test("clients outside the source ranges are left without an answer", async () => {
    const echo = await startUdpEcho();
    const vip = someVip();
    const sourceRanges = [{ address: endpointOf(["127.0.0.77", 1]).address, prefixLength: 32 }];
    const proxy = await startProxy([
      { vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", echo.port]], sourceRanges },
    ]);
    const stranger = await openSocket("127.0.0.78");
    stranger.send("x", PORT, vip);
    expect((await ask(await openSocket("127.0.0.77"), { vip, send: "in" })).text).toBe("in");
    expect((await proxy.snapshot()).frontends[0]?.counters.datagramsDropped).toBe(1);
  });

  test("draining waits for answers that are under way, not for the idle timeout", async () => {
    const server = await openSocket();
    server.on("message", (message, from) => setTimeout(() => server.send(message, from.port, from.address), 300));
    const vip = someVip();
    const endpoints = [["127.0.0.1", server.address().port]] as const;
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const client = await openSocket();
    const answer = once(client, "message");
    client.send("late", PORT, vip);
    await until(
      async () => (await proxy.snapshot()).workers[0]?.udpSessions,
      (sessions) => sessions === 1,
    );
    const startedAtMs = Date.now();
    await proxy.drain(30_000);
    expect(String((await answer)[0])).toBe("late");
    expect(Date.now() - startedAtMs).toBeLessThan(15_000);
  });
});

describe("where every UDP endpoint refuses", () => {
  test("nobody listens, so that clients learn of it, until one is there again", async () => {
    const vip = someVip();
    const gone = await freePort();
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", gone]] }]);
    const state = async () => (await proxy.snapshot()).frontends[0]?.state;
    const client = createSocket("udp4");
    onTestFinished(() => void client.close());
    client.connect(PORT, vip);
    await once(client, "connect");
    const refused = once(client, "error");
    client.send("anybody?");
    await until(state, (now) => now?.kind === "refusing");
    expect(await state()).toEqual({ kind: "refusing", reason: "every endpoint refuses" });
    client.send("still nobody?");
    expect((await refused)[0]).toMatchObject({ code: "ECONNREFUSED" });
    const server = await openSocket("127.0.0.1", gone);
    server.on("message", (message, from) => server.send(message, from.port, from.address));
    await until(state, (now) => now?.kind === "listening");
    expect((await ask(await openSocket(), { vip, send: "hello" })).text).toBe("hello");
  });

  test("a new endpoint is served at once", async () => {
    const vip = someVip();
    const echo = await startUdpEcho();
    const service = { vip, port: PORT, protocol: "udp" } as const;
    const proxy = await startProxy([{ ...service, endpoints: [["127.0.0.1", await freePort()]] }]);
    (await openSocket()).send("anybody?", PORT, vip);
    await until(
      async () => (await proxy.snapshot()).frontends[0]?.state,
      (now) => now?.kind === "refusing",
    );
    await proxy.apply(loopbackPlan([{ ...service, endpoints: [["127.0.0.1", echo.port]] }]));
    expect((await ask(await openSocket(), { vip, send: "hello" })).text).toBe("hello");
  });

  test("one endpoint that says nothing keeps it open: it may be there", async () => {
    const vip = someVip();
    const silent = await openSocket();
    const endpoints = [
      ["127.0.0.1", await freePort()],
      ["127.0.0.1", silent.address().port],
    ] as const;
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }]);
    const asked = once(silent, "message");
    const client = await openSocket();
    for (let question = 0; question < 20; question++) client.send("anybody?", PORT, vip);
    await asked;
    expect((await proxy.snapshot()).frontends[0]?.state).toEqual({ kind: "listening" });
  });
});

/** Nobody has it now. */
async function freePort(): Promise<number> {
  const probe = await openSocket();
  const { port } = probe.address();
  probe.close();
  await once(probe, "close");
  return port;
}
