import { spawn } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { runProcess } from "./background-process.ts";
import { cpuSeconds, residentBytes } from "./process-cost.ts";
import type { Subject } from "./subjects.ts";

/** One figure of one subject in one round. */
export type Figures = Readonly<Record<string, number>>;

export interface Measurement {
  readonly name: string;
  readonly needsUdp?: true;
  /** Once in each round, or once in all (a fresh process each). */
  readonly repeats: "each-round" | "once";
  /** @param pid of the proxy @param seconds how long to load it */
  run(subject: Subject, options: { readonly pid: number; readonly seconds: number }): Promise<Figures>;
}

const KEEP_ALIVE_CONNECTIONS = 64;
const NEW_CONNECTION_CLIENTS = 32;
const IDLE_CONNECTIONS = 5_000;
const UDP_RATE = 10_000;
const UDP_CLIENTS = 64;

export const MEASUREMENTS: readonly Measurement[] = [
  ...[1, 8].flatMap((streams) => [bulk({ streams, direction: "up" }), bulk({ streams, direction: "down" })]),
  {
    name: "keep-alive",
    repeats: "each-round",
    run: async (subject, { pid, seconds }) => {
      const { requests, cpu, perSecond, p50Ms } = await wrk(subject, {
        pid,
        seconds,
        connections: KEEP_ALIVE_CONNECTIONS,
      });
      return { "requests/s": perSecond, "p50 ms": p50Ms, "CPU s per 10k requests": (cpu / requests) * 10_000 };
    },
  },
  {
    name: "new connections",
    repeats: "each-round",
    run: async (subject, { pid, seconds }) => {
      const header = ["-H", "Connection: close"];
      const load = { pid, seconds, connections: NEW_CONNECTION_CLIENTS, header };
      const { requests, cpu, perSecond } = await wrk(subject, load);
      return { "connections/s": perSecond, "CPU s per 10k connections": (cpu / requests) * 10_000 };
    },
  },
  {
    name: "idle connections",
    repeats: "once",
    run: async (subject, { pid }) => ({ "KiB per connection": await idleKiB(subject, pid) }),
  },
  {
    name: "UDP",
    needsUdp: true,
    repeats: "each-round",
    run: async (subject, { pid, seconds }) => {
      const before = cpuSeconds(pid);
      const args = [subject.address, subject.ports.udp, UDP_RATE, UDP_CLIENTS, seconds].map(String);
      const text = await runProcess(["node", resolve(import.meta.dirname, "load/udp-clients.ts"), ...args]);
      const result: unknown = JSON.parse(text);
      const answered = numberAt(result, "answered");
      return {
        "answered %": (answered / numberAt(result, "sent")) * 100,
        "p50 ms": numberAt(result, "p50Ms"),
        "CPU s per 10k datagrams": ((cpuSeconds(pid) - before) / answered) * 10_000,
      };
    },
  },
];

function bulk({ streams, direction }: { streams: number; direction: "up" | "down" }): Measurement {
  return {
    name: `bulk ${direction}, ${streams} ${streams === 1 ? "stream" : "streams"}`,
    repeats: "each-round",
    run: async ({ address, ports }, { pid, seconds }) => {
      const before = cpuSeconds(pid);
      const target = ["-c", address, "-p", String(ports.bulk)];
      const load = ["-t", String(seconds), "-P", String(streams), ...(direction === "down" ? ["-R"] : [])];
      const report: unknown = JSON.parse(await runProcess(["iperf3", "--json", ...target, ...load]));
      const gigabytes = numberAt(report, "end", "sum_received", "bytes") / 1e9;
      const rate = numberAt(report, "end", "sum_received", "bits_per_second") / 8e9;
      return { "GB/s": rate, "CPU s per GB": (cpuSeconds(pid) - before) / gigabytes };
    },
  };
}

interface WrkLoad {
  readonly pid: number;
  readonly seconds: number;
  readonly connections: number;
  readonly header?: readonly string[];
}

async function wrk({ address, ports }: Subject, { pid, seconds, connections, header = [] }: WrkLoad) {
  const before = cpuSeconds(pid);
  const load = ["-t", "1", "-c", String(connections), "-d", `${seconds}s`, "--latency"];
  const text = await runProcess(["wrk", ...load, ...header, `http://${address}:${ports.http}/`]);
  const cpu = cpuSeconds(pid) - before;
  const requests = Number(/(\d+) requests in/.exec(text)?.[1]);
  const perSecond = Number(/Requests\/sec:\s+([\d.]+)/.exec(text)?.[1]);
  const [, p50 = "", unit = ""] = /50%\s+([\d.]+)(us|ms|s)/.exec(text) ?? [];
  const errors = /Socket errors: (.*)|Non-2xx.*/.exec(text)?.[0];
  // wrk counts a close that it asked for as a read error at times; anything else is a fault of the proxy.
  if (errors !== undefined && !/connect 0, read \d+, write 0, timeout 0/.test(errors))
    throw new Error(`wrk: ${errors}`);
  return { requests, cpu, perSecond, p50Ms: Number(p50) * ({ us: 0.001, ms: 1, s: 1_000 }[unit] ?? Number.NaN) };
}

/** Connections that have never carried a byte, as most of a proxy's are. */
async function idleKiB({ address, ports }: Subject, pid: number): Promise<number> {
  const before = residentBytes(pid);
  const args = [address, ports.idle, IDLE_CONNECTIONS].map(String);
  const script = resolve(import.meta.dirname, "load/idle-clients.ts");
  const clients = spawn(process.execPath, [script, ...args], { stdio: ["pipe", "pipe", "inherit"] });
  const [line] = await once(clients.stdout, "data");
  const open = numberAt(JSON.parse(String(line)), "open");
  await sleep(1_000); // let lazy frees happen
  const perConnection = (residentBytes(pid) - before) / open / 1024;
  clients.stdin.end();
  await once(clients, "exit");
  return perConnection;
}

/** The number at a path of a JSON value. @throws Error where there is none */
function numberAt(value: unknown, ...path: readonly string[]): number {
  let at = value;
  for (const key of path) at = typeof at === "object" && at !== null ? new Map(Object.entries(at)).get(key) : undefined;
  if (typeof at !== "number") throw new Error(`no number at ${path.join(".")}`);
  return at;
}

export interface Comparison {
  readonly measurement: string;
  /** A figure for each round, by subject; the first subject is what the others are compared with. */
  readonly results: ReadonlyMap<string, readonly Figures[]>;
}
