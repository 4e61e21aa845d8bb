import { type ChildProcess, fork } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { describe, expect, onTestFinished, test } from "vitest";
import { claimInstance, queryInstance } from "../instance.ts";
import type { ProxySnapshot } from "../proxy-status.ts";
import { someVip } from "../testing/loopback-plan.ts";
import { startProxy, until } from "../testing/test-proxy.ts";
import { startEcho, talk } from "../testing/test-server.ts";

const PORT = 7272;
const PROGRAM = new URL("../testing/instance-program.ts", import.meta.url);

async function somePlace(): Promise<{ name: string; runtimeDirectory: string }> {
  const runtimeDirectory = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(runtimeDirectory, { recursive: true }));
  return { name: randomUUID().slice(0, 8), runtimeDirectory };
}

/** A proxy in a process of its own; resolves when it serves. */
async function startInstance(settings: object): Promise<ChildProcess> {
  const child = fork(PROGRAM, [JSON.stringify(settings)], { execArgv: [] });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  const [message] = await Promise.race([once(child, "message"), once(child, "exit")]);
  if (message !== "serving") throw new Error(`the instance said ${JSON.stringify(message)}`);
  return child;
}

describe("a second instance", () => {
  test("is refused, and told who runs", async () => {
    const place = await somePlace();
    const claim = await claimInstance(place);
    onTestFinished(() => claim.release());
    await expect(claimInstance(place)).rejects.toMatchObject({
      code: "ALREADY_RUNNING",
      exitCode: 1,
      message: expect.stringContaining(`pid ${process.pid}`),
    });
  });

  test("is let in once the first has given its place back", async () => {
    const place = await somePlace();
    await (await claimInstance(place)).release();
    const claim = await until(
      () => claimInstance(place).catch(() => undefined),
      (seen) => seen !== undefined,
    );
    await claim?.release();
  });

  test("that is to take over starts plainly where nobody runs", async () => {
    const claim = await claimInstance({ ...(await somePlace()), takeOver: true });
    expect(claim.inherited).toBeUndefined();
    await claim.release();
  });
});

describe("the control socket", () => {
  test("is the user's own, and answers with the status", async () => {
    const place = await somePlace();
    const proxy = await startProxy([]);
    const claim = await claimInstance(place);
    onTestFinished(() => claim.release());
    await claim.serve({
      proxy,
      status: async () => ({ fine: true }),
      served: () => ({ frontends: [] }),
      onTakenOver: () => {},
      generation: {
        facts: async () => ({ takenOverAt: "", connections: 0, udpSessions: 0, isDraining: true, inUse: [] }),
        drain: () => {},
      },
    });
    expect((await stat(claim.controlPath)).mode & 0o777).toBe(0o600);
    expect(await queryInstance(place)).toEqual({ fine: true });
    expect(await queryInstance(place, { kind: "served" })).toEqual({ frontends: [] });
  });

  test("that is not there means that nothing runs", async () => {
    await expect(queryInstance(await somePlace())).rejects.toMatchObject({ code: "NOT_RUNNING" });
  });
});

describe("taking over", () => {
  test.for([
    { name: "one process after another", workers: [1, 1, 1] },
    { name: "several workers after one process, and the other way round", workers: [1, 2, 1] },
  ])("loses no dial: $name", async ({ workers }) => {
    const place = await somePlace();
    const echo = await startEcho();
    const services = [{ vip: someVip(), port: PORT, endpoints: [["127.0.0.1", echo.port]] }] as const;
    const [first = 1, ...rest] = workers;
    let running = await startInstance({ place, services, workers: first });
    const failures: string[] = [];
    let dials = 0;
    let stopped = false;
    const dial = async () => {
      while (!stopped) {
        const { text, code } = await talk({ host: services[0].vip, port: PORT }, { send: "hello" });
        dials++;
        if (text !== "hello") failures.push(code);
        await delay(5); // else the dials take all the time of those who are to start
      }
    };
    const dialling = Array.from({ length: 16 }, dial);
    for (const count of rest) {
      const before = running;
      const ended = once(before, "exit");
      running = await startInstance({ place: { ...place, takeOver: true }, services, workers: count });
      expect((await ended)[0]).toBe(0); // it drains and goes
    }
    stopped = true;
    await Promise.all(dialling);
    expect(failures).toEqual([]);
    expect(dials).toBeGreaterThan(100);
  });

  test("loses no datagram either", async () => {
    const place = await somePlace();
    const server = createSocket("udp4");
    server.on("message", (message, from) => server.send(message, from.port, from.address));
    server.bind(0, "127.0.0.1");
    await once(server, "listening");
    const client = createSocket("udp4");
    onTestFinished(() => {
      server.close();
      client.close();
    });
    const vip = someVip();
    const services = [{ vip, port: PORT, protocol: "udp", endpoints: [["127.0.0.1", server.address().port]] }];
    const first = await startInstance({ place, services, workers: 1 });
    const ended = once(first, "exit");
    const successor = startInstance({ place: { ...place, takeOver: true }, services, workers: 1 });
    let gone = false;
    void ended.then(() => {
      gone = true;
    });
    for (let question = 0; !gone; question++) {
      const answer = once(client, "message", { signal: AbortSignal.timeout(30_000) });
      client.send(String(question), PORT, vip);
      expect(String((await answer)[0])).toBe(String(question));
    }
    await successor;
  });

  test("a successor that dies half-way changes nothing", async () => {
    const place = await somePlace();
    const echo = await startEcho();
    const services = [{ vip: someVip(), port: PORT, endpoints: [["127.0.0.1", echo.port]] }] as const;
    await startInstance({ place, services, workers: 1 });
    const half = await claimInstance({ ...place, takeOver: true });
    expect([...(half.inherited?.keys() ?? [])]).toEqual([`tcp ${services[0].vip}:${PORT}`]);
    await half.release();
    for (const { handle } of half.inherited?.values() ?? []) handle.close();
    expect((await talk({ host: services[0].vip, port: PORT }, { send: "still" })).text).toBe("still");
    await expect(claimInstance(place)).rejects.toMatchObject({ code: "ALREADY_RUNNING" });
  });
});

test("workers end with their supervisor, kill -9 included", async () => {
  const place = await somePlace();
  const echo = await startEcho();
  const services = [{ vip: someVip(), port: PORT, endpoints: [["127.0.0.1", echo.port]] }];
  const supervisor = await startInstance({ place, services, workers: 2 });
  const status = await queryInstance(place);
  const workers = isSnapshot(status) ? status.workers.map(({ pid }) => pid) : [];
  expect(workers).toHaveLength(2);
  supervisor.kill("SIGKILL");
  await until(
    () => workers.filter((pid) => existsSync(`/proc/${pid}`)),
    (left) => left.length === 0,
  );
});

function isSnapshot(value: unknown): value is ProxySnapshot {
  return typeof value === "object" && value !== null && "workers" in value;
}
