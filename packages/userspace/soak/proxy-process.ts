// The proxy under test, in a process of its own: takes orders by IPC, one after the other, and answers each.
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { createProxy, DEFAULT_PROXY_OPTIONS } from "@svcproxy/userspace";
import { pino } from "pino";
import { loopbackPlan, type TestService } from "../src/testing/loopback-plan.ts";

export type Order = { readonly kind: "apply"; readonly services: readonly TestService[] } | { readonly kind: "report" };

export interface Report {
  readonly active: number;
  readonly accepted: number;
  readonly ended: number;
  readonly bytes: number;
  readonly descriptors: number;
  /** Handles that keep the process alive, by kind. */
  readonly resources: Readonly<Record<string, number>>;
  /** After a collection. */
  readonly heapBytes: number;
  readonly residentBytes: number;
  readonly endings: Readonly<Record<string, number>>;
  /** The lines of /proc/net/tcp that are this process's, to name what is left. */
  readonly sockets: readonly string[];
}

const [workers = "0"] = process.argv.slice(2);
const proxy = await createProxy(
  {
    ...DEFAULT_PROXY_OPTIONS,
    workers: Number(workers),
    // Short, so that the soak sees each of them.
    idleTimeoutMs: 4_000,
    halfClosedTimeoutMs: 10_000,
    stalledWriteTimeoutMs: 3_000,
    udpIdleTimeoutMs: 2_000,
    udpOneWayTimeoutMs: 1_000,
  },
  { logger: pino({ level: "silent" }) },
);

process.on("message", (order: Order) => void carryOut(order));
process.on("disconnect", () => process.exit());
process.send?.("ready");

async function carryOut(order: Order): Promise<void> {
  if (order.kind === "apply") {
    const { frontends } = await proxy.apply(loopbackPlan(order.services));
    process.send?.({ failed: frontends.filter(({ state }) => state.kind === "failed").map(({ key }) => key) });
  } else {
    process.send?.(await report());
  }
}

async function report(): Promise<Report> {
  await sleep(50);
  globalThis.gc?.();
  const { frontends } = await proxy.snapshot();
  const { rss, heapUsed, external } = process.memoryUsage();
  const endings: Record<string, number> = {};
  for (const [reason, count] of frontends.flatMap(({ counters }) => Object.entries(counters.ended))) {
    if (count > 0) endings[reason] = (endings[reason] ?? 0) + count;
  }
  const total = (read: (counters: (typeof frontends)[number]["counters"]) => number) =>
    frontends.reduce((sum, { counters }) => sum + read(counters), 0);
  return {
    active: total(({ active }) => active),
    accepted: total(({ connections }) => connections),
    ended: Object.values(endings).reduce((sum, count) => sum + count, 0),
    bytes: total(({ bytesFromClient, bytesToClient }) => bytesFromClient + bytesToClient),
    descriptors: readdirSync("/proc/self/fd").length,
    resources: countEach(process.getActiveResourcesInfo()),
    heapBytes: heapUsed + external,
    residentBytes: rss,
    endings,
    sockets: tcpSockets(),
  };
}

function tcpSockets(): readonly string[] {
  const inodes = new Set<string>();
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      inodes.add(/^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/self/fd/${fd}`))?.[1] ?? "");
    } catch {
      // Closed since.
    }
  }
  return readFileSync("/proc/self/net/tcp", "utf8")
    .split("\n")
    .filter((line) => inodes.has(line.trim().split(/\s+/)[9] ?? "none"))
    .map((line) => line.trim().split(/\s+/).slice(1, 6).join(" "));
}

function countEach(names: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}
