import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { queryInstance } from "../instance.ts";
import type { ProxySnapshot } from "../proxy-status.ts";
import { someVip } from "../testing/loopback-plan.ts";
import { until } from "../testing/test-proxy.ts";
import { startEcho, talk } from "../testing/test-server.ts";
import { DescriptorBudget, readDescriptorLimit } from "./descriptor-budget.ts";

const PORT = 7373;
const PROGRAM = fileURLToPath(new URL("../testing/instance-program.ts", import.meta.url));

/** A proxy in a process that may open only so many files. */
async function startUnderLimit(openFiles: number, settings: object): Promise<ChildProcess> {
  const limited = `ulimit -n ${openFiles}; exec "$0" "$@"`;
  const child = spawn("sh", ["-c", limited, process.execPath, PROGRAM, JSON.stringify(settings)], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  });
  onTestFinished(() => {
    child.kill("SIGKILL");
  });
  await once(child, "message");
  return child;
}

function isSnapshot(value: unknown): value is ProxySnapshot {
  return typeof value === "object" && value !== null && "frontends" in value;
}

test("listeners that were taken over are counted once", async () => {
  const runtimeDirectory = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(runtimeDirectory, { recursive: true }));
  const place = { name: `handed-${process.pid}`, runtimeDirectory };
  const vip = someVip();
  const services = Array.from({ length: 80 }, (_, index) => ({
    vip,
    port: PORT + index,
    endpoints: [["127.0.0.1", 1]],
  }));
  const limit = async () => {
    const status = await queryInstance(place);
    if (!isSnapshot(status)) throw new Error("no snapshot");
    return status.limits.connections;
  };
  const first = await startUnderLimit(256, { place, services, workers: 1 });
  const before = await limit();
  const ended = once(first, "exit");
  await startUnderLimit(256, { place: { ...place, takeOver: true }, services, workers: 1 });
  await ended;
  // A descriptor of the hand-over itself may still be open.
  expect(Math.abs((await limit()) - before)).toBeLessThan(8);
});

test("under a low ulimit what does not fit is reset at once, the rest is served, and the proxy goes on", async () => {
  const runtimeDirectory = await mkdtemp(join(tmpdir(), "svcproxy-test-"));
  onTestFinished(() => rm(runtimeDirectory, { recursive: true }));
  const place = { name: `limit-${process.pid}`, runtimeDirectory };
  const echo = await startEcho();
  const vip = someVip();
  await startUnderLimit(128, {
    place,
    services: [{ vip, port: PORT, endpoints: [["127.0.0.1", echo.port]] }],
    workers: 1,
  });
  const look = async () => {
    const status = await queryInstance(place);
    if (!isSnapshot(status)) throw new Error("no snapshot");
    return status;
  };
  const { openFiles, connections } = (await look()).limits;
  expect(openFiles).toBe(128);
  expect(connections).toBeGreaterThan(20);
  expect(connections).toBeLessThan(64);

  let reset = 0;
  const answered = new Set<Socket>();
  const clients = Array.from({ length: 150 }, () => {
    const client = connect({ host: vip, port: PORT });
    client.on("error", () => reset++);
    client.on("data", () => answered.add(client));
    client.write("x");
    return client;
  });
  await until(
    () => answered.size + reset,
    (count) => count === clients.length,
  );
  expect(answered.size).toBe(connections);
  expect((await look()).frontends[0]?.counters.ended["max-connections"]).toBe(150 - connections);
  for (const client of clients) client.destroy();
  await until(
    async () => (await look()).frontends[0]?.counters.active,
    (active) => active === 0,
  );
  expect((await talk({ host: vip, port: PORT }, { send: "again" })).text).toBe("again");
});

describe("the budget", () => {
  test("keeps a reserve, and gives out no more than the rest", () => {
    const budget = new DescriptorBudget({ limit: 1_024, used: 24 });
    expect(budget.freeFor("tcp")).toBe(904);
    expect(budget.take("tcp", 904)).toBe(true);
    expect(budget.take("tcp", 1)).toBe(false);
    budget.give("tcp", 2);
    expect(budget.take("tcp", 2)).toBe(true);
  });

  test("lets neither protocol take what the other needs", () => {
    const budget = new DescriptorBudget({ limit: 1_024, used: 24 });
    budget.listens("tcp");
    budget.listens("udp");
    budget.setOthers(2);
    while (budget.take("udp", 1));
    expect(budget.freeFor("tcp")).toBe(225);
    while (budget.take("tcp", 2));
    budget.give("udp", 600);
    expect(budget.take("tcp", 2)).toBe(true);
    while (budget.take("tcp", 2));
    while (budget.take("udp", 1));
    expect(budget.take("tcp", 2)).toBe(false);
    expect(budget.freeFor("udp")).toBe(0);
  });

  test.for(["tcp", "udp"] as const)("is whole for %s alone", (protocol) => {
    const budget = new DescriptorBudget({ limit: 1_024, used: 24 });
    budget.listens(protocol);
    expect(budget.take(protocol, 903)).toBe(true);
  });

  test("knows this process's limit", () => {
    const { limit, used } = readDescriptorLimit();
    expect(used).toBeGreaterThan(3);
    expect(limit).toBeGreaterThan(used);
  });
});
