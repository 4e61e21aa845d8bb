import { createSocket } from "node:dgram";
import { once } from "node:events";
import { connect } from "node:net";
import { pino } from "pino";
import { describe, expect, onTestFinished, test } from "vitest";
import type { AccessRecord } from "../access-record.ts";
import { createProxy } from "../proxy.ts";
import { DEFAULT_PROXY_OPTIONS } from "../proxy-options.ts";
import type { ServiceProxy } from "../service-proxy.ts";
import { loopbackPlan, someVip } from "../testing/loopback-plan.ts";
import { startProxy, until } from "../testing/test-proxy.ts";
import { hearOut, startEcho, startNamed, talk } from "../testing/test-server.ts";

const PORT = 7171;

async function pids(proxy: ServiceProxy): Promise<number[]> {
  return (await proxy.snapshot()).workers.map(({ pid }) => pid);
}

describe("two workers", () => {
  test("share a frontend, and their counters are one", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const records: AccessRecord[] = [];
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], {
      workers: 2,
      onConnectionEnd: (record) => records.push(record),
    });
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => talk({ host: vip, port: PORT }, { send: "hello" })),
      );
      expect(answers.every(({ text }) => text === "hello")).toBe(true);
    }
    const { workers, frontends, endpoints } = await proxy.snapshot();
    expect(new Set(workers.map(({ pid }) => pid))).toHaveLength(2);
    expect(workers.map(({ pid }) => pid)).not.toContain(process.pid);
    expect(frontends[0]?.counters).toMatchObject({ connections: 100, bytesToClient: 500, ended: { done: 100 } });
    expect(endpoints[0]?.counters).toMatchObject({ connections: 100, active: 0 });
    await until(
      () => records.length,
      (count) => count === 100,
    );
  });

  test("one that dies takes only its own connections along, and is replaced", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], { workers: 2 });
    const clients = Array.from({ length: 40 }, () => connect({ host: vip, port: PORT }));
    let lost = 0;
    for (const client of clients) {
      client.on("error", () => {});
      client.on("close", () => lost++);
      client.write("x");
      await once(client, "data");
    }
    const before = await proxy.snapshot();
    const victim = before.workers.find(({ connections }) => connections > 0);
    if (victim === undefined) throw new Error("no worker has a connection");
    process.kill(victim.pid, "SIGKILL");
    await until(
      () => lost,
      (count) => count === victim.connections,
    );
    // Its replacement serves, the other one has noticed nothing, and what was counted stays counted.
    const { workers } = await until(
      () => proxy.snapshot(),
      (seen) => seen.workers.length === 2 && seen.workers.every(({ state }) => state === "running"),
    );
    expect(workers.find(({ index }) => index === victim.index)).toMatchObject({ restarts: 1, connections: 0 });
    expect(await talk({ host: vip, port: PORT }, { send: "again" })).toEqual({ text: "again", code: "" });
    expect((await proxy.snapshot()).frontends[0]?.counters.connections).toBe(41);
    for (const client of clients) client.destroy();
  });

  test("affinity holds across them", async () => {
    const servers = await Promise.all(["a", "b", "c", "d"].map((name) => startNamed(name)));
    const vip = someVip();
    const endpoints = servers.map(({ port }) => ["127.0.0.1", port] as const);
    await startProxy([{ vip, port: PORT, endpoints, affinitySeconds: 60 }], { workers: 2 });
    const answers = await Promise.all(Array.from({ length: 60 }, () => talk({ host: vip, port: PORT })));
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
  });

  test.for([
    { name: "max-connections", options: { maxConnections: 25 } },
    { name: "max-per-client", options: { maxPerClient: 25 } },
  ] as const)("$name holds across them, and after one has died", async ({ name, options }) => {
    const echo = await startEcho();
    const vip = someVip();
    const lines: { limit?: string }[] = [];
    const logger = pino({ level: "warn" }, { write: (line) => lines.push(JSON.parse(line)) });
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], {
      workers: 2,
      ...options,
      logger,
    });
    const hold = async () => {
      const clients = Array.from({ length: 60 }, () => connect({ host: vip, port: PORT }).on("error", () => {}));
      for (const client of clients) client.write("x");
      const counters = async () => (await proxy.snapshot()).frontends[0]?.counters;
      const seen = await until(counters, (now) => now?.active === 25 && (now.ended[name] ?? 0) >= 35);
      expect(seen?.active).toBe(25);
      await until(
        () => lines,
        (seenLines) => seenLines.some(({ limit }) => limit === name),
      );
      return clients;
    };
    const first = await hold();
    const [victim] = await pids(proxy);
    if (victim !== undefined) process.kill(victim, "SIGKILL");
    for (const client of first) client.destroy();
    await until(
      () => proxy.snapshot(),
      ({ workers, frontends }) => workers.length === 2 && frontends[0]?.counters.active === 0,
    );
    for (const client of await hold()) client.destroy();
  });

  test("a UDP frontend has one owner, and all its datagrams are answered", async () => {
    const server = createSocket("udp4");
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    server.on("message", (message, from) => server.send(message, from.port, from.address));
    const vip = someVip();
    const endpoints = [["127.0.0.1", server.address().port]] as const;
    const proxy = await startProxy([{ vip, port: PORT, protocol: "udp", endpoints }], { workers: 2 });
    for (let client = 0; client < 20; client++) {
      const socket = createSocket("udp4");
      const answer = once(socket, "message");
      socket.send("x", PORT, vip);
      expect(String((await answer)[0])).toBe("x");
      socket.close();
    }
    const sessions = (await proxy.snapshot()).workers.map(({ udpSessions }) => udpSessions);
    expect(sessions.toSorted((a, b) => a - b)).toEqual([0, 20]);
    server.close();
  });

  test("the UDP frontends of one service stick to one endpoint, and the bound on sessions is for all workers", async () => {
    const servers = Array.from({ length: 2 }, () => createSocket("udp4").bind(0, "127.0.0.1"));
    await Promise.all(servers.map((server) => once(server, "listening")));
    for (const server of servers) {
      const name = String(server.address().port);
      server.on("message", (_message, from) => server.send(name, from.port, from.address));
    }
    const endpoints = servers.map((server) => ["127.0.0.1", server.address().port] as const);
    const vips = Array.from({ length: 8 }, () => someVip());
    const sticky = { port: PORT, protocol: "udp", name: "sticky", affinitySeconds: 60, endpoints } as const;
    const loose = { port: PORT, protocol: "udp", endpoints } as const;
    const services = [...vips.map((vip) => ({ ...sticky, vip })), ...vips.map(() => ({ ...loose, vip: someVip() }))];
    const proxy = await startProxy(services, { workers: 2, maxUdpSessions: 8 });
    const ask = async (vip: string) => {
      const socket = createSocket("udp4").bind(0, "127.0.0.1");
      socket.send("who", PORT, vip);
      const [answer] = await once(socket, "message");
      socket.close();
      return String(answer);
    };
    const answers: string[] = [];
    for (const { vip } of services) answers.push(await ask(vip));
    expect(new Set(answers.slice(0, vips.length))).toHaveLength(1);
    const { workers, limits } = await proxy.snapshot();
    expect(limits.udpSessions).toBe(8);
    expect(workers.reduce((sum, { udpSessions }) => sum + udpSessions, 0)).toBeLessThanOrEqual(8);
    for (const server of servers) server.close();
  });

  test("follow a new plan, and end with the proxy", async () => {
    const [a, b] = [await startNamed("a"), await startNamed("b")];
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", a.port]] }], { workers: 2 });
    await proxy.apply(loopbackPlan([{ vip, port: PORT, endpoints: [["127.0.0.1", b.port]] }]));
    for (let dial = 0; dial < 10; dial++) expect((await talk({ host: vip, port: PORT })).text).toBe("b");
    await proxy.apply(loopbackPlan([]));
    expect((await talk({ host: vip, port: PORT })).code).toBe("ECONNREFUSED");
    const workers = await pids(proxy);
    await proxy.close();
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow();
  });

  test("drain: old connections go on, new ones are refused", async () => {
    const echo = await startEcho();
    const vip = someVip();
    const proxy = await startProxy([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }], { workers: 2 });
    const client = connect({ host: vip, port: PORT });
    client.write("x");
    await once(client, "data");
    const drained = proxy.drain(10_000);
    await until(
      () => talk({ host: vip, port: PORT }),
      ({ code }) => code === "ECONNREFUSED",
    );
    client.end("last words");
    expect(await hearOut(client)).toEqual({ text: "last words", code: "" });
    await drained;
  });
});

test("where no worker can be started, this process carries connections itself", async () => {
  const echo = await startEcho();
  const vip = someVip();
  const surroundings = { logger: pino({ level: "silent" }), workerProgram: ["/nowhere/svcproxy"] as const };
  const proxy = await createProxy(DEFAULT_PROXY_OPTIONS, surroundings);
  onTestFinished(() => proxy.close());
  await proxy.apply(loopbackPlan([{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }]));
  expect((await talk({ host: vip, port: PORT }, { send: "hello" })).text).toBe("hello");
  expect(await pids(proxy)).toEqual([process.pid]);
});
