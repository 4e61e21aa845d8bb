/**
 * A real kube-proxy in its nftables mode and `svcproxy run kubernetes`, one after the other, against the same API server in a network
 * namespace of its own: CPU time and time from the start until the kernel serves the last service, and for one changed endpoint; the first
 * over what iptables-legacy-restore takes for the same plan in the same run.
 *
 *     pnpm --filter svcproxy bench:kube-proxy     (root; KUBE_PROXY=path, else kube-proxy of the PATH; SERVICES=10000 CHANGES=20)
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { type ClusterObject, TestApiServer } from "@svcproxy/agent/testing";

const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const ENDPOINTS = 3;
const CHANGES = Number(process.env["CHANGES"] ?? 20);
/** kube-proxy waits so long between two rounds of its own accord. */
const PAUSE_MS = 1_500;
const KUBE_PROXY = process.env["KUBE_PROXY"] ?? findOnPath("kube-proxy");
const INSIDE = "inside";
const CLOCK_TICK_MS = 10;

const program = resolve(import.meta.dirname, "../bin/svcproxy.cjs");
const HOST = "192.168.77.1";
const NODE = "one";
const API_PORT = 8080;
/** The service that is dialled: its endpoint is one of two ports that answer with their number. */
const PROBE = { name: "probe", vip: "10.96.255.1", ports: [9001, 9002] as const };

const SET_UP = [
  "link set lo up",
  "link add eth0 type veth peer name far",
  `addr add ${HOST}/24 dev eth0`,
  "link set eth0 up",
  "link set far up",
  "route add default via 192.168.77.254",
];

const KUBECONFIG = `apiVersion: v1
kind: Config
clusters: [{ name: bench, cluster: { server: "http://127.0.0.1:${API_PORT}" } }]
contexts: [{ name: bench, context: { cluster: bench, user: bench } }]
users: [{ name: bench, user: {} }]
current-context: bench
`;

if (KUBE_PROXY === undefined) say("no kube-proxy: KUBE_PROXY names none, and none is on the PATH");
else if (process.argv[2] === INSIDE) await measure(KUBE_PROXY);
else {
  // It takes a lock in /run.
  const mount = [
    "unshare",
    "--net",
    "--mount",
    "--kill-child",
    "sh",
    "-c",
    'mount -t tmpfs none /run && exec "$@"',
    "sh",
  ];
  const [command = "", ...args] = [...mount, process.execPath, ...process.execArgv, ...process.argv.slice(1), INSIDE];
  process.exitCode = spawnSync(command, args, { stdio: "inherit" }).status ?? 1;
}

async function measure(kubeProxy: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
  const servers = PROBE.ports.map((port) => createServer((socket) => socket.end(String(port))).listen(port, HOST));
  try {
    for (const line of SET_UP) execFileSync("ip", line.split(" "));
    const objects = objectsOf();
    await using server = await TestApiServer.start({ port: API_PORT });
    const put = (object: ClusterObject) => server.store.put(object);
    objects.forEach(put);
    const kubeconfig = join(folder, "kubeconfig");
    writeFileSync(kubeconfig, KUBECONFIG);
    const legacyMs = loadLegacy(folder, objects);
    say(`iptables-legacy-restore: ${legacyMs} ms CPU for ${SERVICES} × ${ENDPOINTS}`);
    const configuration = join(folder, "config.yaml");
    writeFileSync(configuration, configurationText(kubeconfig));
    const version = execFileSync(kubeProxy, ["--version"], { encoding: "utf8" }).trim();
    await follow({ name: `kube-proxy (${version})`, command: [kubeProxy, "--config", configuration], put, legacyMs });
    const run = [
      "run",
      "kubernetes",
      "--kubeconfig",
      kubeconfig,
      "--hostname-override",
      NODE,
      "--data-path",
      "nftables",
    ];
    const none = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];
    await follow({ name: "svcproxy run", command: [process.execPath, program, ...run, ...none], put, legacyMs });
  } finally {
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  }
}

interface Followed {
  readonly name: string;
  readonly command: readonly string[];
  readonly put: (object: ClusterObject) => void;
  readonly legacyMs: number;
}

async function follow({ name, command, put, legacyMs }: Followed): Promise<void> {
  put(probeSlice(PROBE.ports[0]));
  const [file = "", ...args] = command;
  const startMs = performance.now();
  const log = process.env["LOG"] === undefined ? "ignore" : "inherit";
  const child = spawn(file, args, { stdio: ["ignore", "ignore", log] });
  try {
    await answers(PROBE.ports[0]);
    const tookMs = performance.now() - startMs;
    await untilIdle(child);
    const { own, tools } = cpuMsOf(child);
    const total = own + tools;
    say(
      `${name}: start → kernel ${ms(tookMs)}, ${total} ms CPU until it is idle (${tools} of it in tools that it starts), ` +
        `${(total / legacyMs).toFixed(2)} × iptables-legacy-restore`,
    );
    const before = cpuMsOf(child);
    const took: number[] = [];
    for (let index = 0; index < CHANGES; index++) {
      const port = PROBE.ports[(index + 1) % 2] ?? PROBE.ports[0];
      const changedMs = performance.now();
      put(probeSlice(port));
      await answers(port);
      took.push(performance.now() - changedMs);
      await sleep(PAUSE_MS);
    }
    const after = cpuMsOf(child);
    const cpu = (sumOf(after) - sumOf(before)) / CHANGES;
    const inTools = (after.tools - before.tools) / CHANGES;
    say(
      `${name}: one changed endpoint → kernel median ${ms(median(took))}, ${cpu.toFixed(1)} ms CPU with all of it ` +
        `(${inTools.toFixed(1)} of it in nft and other tools)`,
    );
  } finally {
    child.kill("SIGKILL");
    await once(child, "exit");
    await sleep(500);
    execFileSync("nft", ["flush", "ruleset"]);
  }
}

function loadLegacy(folder: string, objects: readonly ClusterObject[]): number {
  const file = join(folder, "objects.json");
  writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: objects }));
  const args = [program, "iptables", file, "--host", NODE, "--format", "restore", "--family", "4"];
  const input = execFileSync(process.execPath, args, { maxBuffer: 1 << 30, stdio: ["ignore", "pipe", "ignore"] });
  const took = [1, 2, 3].map(() => {
    const before = ticksOf("self", [2, 4]);
    execFileSync("iptables-legacy-restore", ["--noflush"], { input });
    const after = ticksOf("self", [2, 4]);
    for (const table of ["nat", "filter"]) {
      for (const flag of ["-F", "-X"]) execFileSync("iptables-legacy", ["-t", table, flag]);
    }
    return CLOCK_TICK_MS * (after - before);
  });
  return Math.min(...took);
}

function objectsOf(): readonly ClusterObject[] {
  const services = Array.from({ length: SERVICES }, (_, index) => {
    const name = `web${index}`;
    const addresses = Array.from({ length: ENDPOINTS }, (_each, place) => {
      const number = index * ENDPOINTS + place;
      return `10.${50 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`;
    });
    const vip = `10.96.${(index + 1) >> 8}.${(index + 1) & 255}`;
    return [service(name, vip), slice(name, { addresses, port: 3000 })];
  });
  const node = {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name: NODE } },
    spec: { podCIDR: "10.5.75.0/24", podCIDRs: ["10.5.75.0/24"] },
    status: { addresses: [{ type: "InternalIP", address: HOST }] },
  };
  return [node, ...services.flat(), service(PROBE.name, PROBE.vip), probeSlice(PROBE.ports[0])];
}

function service(name: string, clusterIP: string): ClusterObject {
  const spec = {
    ...{ type: "ClusterIP", clusterIP, clusterIPs: [clusterIP], ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack" },
    ports: [{ port: 80, protocol: "TCP", targetPort: 3000 }],
  };
  return { apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" }, spec };
}

function probeSlice(port: number): ClusterObject {
  return slice(PROBE.name, { addresses: [HOST], port });
}

function slice(name: string, { addresses, port }: { readonly addresses: readonly string[]; readonly port: number }) {
  return {
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: { name: `${name}-1`, namespace: "default", labels: { "kubernetes.io/service-name": name } },
    ports: [{ name: "", port, protocol: "TCP" }],
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
  };
}

/** It raises limits of the machine unless it is told not to. */
function configurationText(kubeconfig: string): string {
  return `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: ${NODE}
detectLocalMode: NodeCIDR
clientConnection: { kubeconfig: ${kubeconfig}, contentType: application/json, acceptContentTypes: application/json }
conntrack: { maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s }
`;
}

/** Dials every millisecond until the endpoint with this port answers. */
async function answers(port: number): Promise<void> {
  const deadlineMs = performance.now() + 300_000;
  while ((await dial()) !== String(port)) {
    if (performance.now() > deadlineMs) throw new Error("nobody serves");
    await sleep(1);
  }
}

function dial(): Promise<string> {
  return new Promise((settle) => {
    const socket = connect({ host: PROBE.vip, port: 80, timeout: 250 });
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", () => settle(""));
    socket.on("timeout", () => socket.destroy());
    socket.on("close", () => settle(text));
  });
}

/** Until it does next to nothing for two seconds. */
async function untilIdle(child: ChildProcess): Promise<void> {
  for (let last = Number.NEGATIVE_INFINITY, now = sumOf(cpuMsOf(child)); now - last > 100; ) {
    await sleep(2_000);
    [last, now] = [now, sumOf(cpuMsOf(child))];
  }
}

interface CpuTimes {
  readonly own: number;
  /** Of programs that it started. */
  readonly tools: number;
}

function cpuMsOf({ pid }: ChildProcess): CpuTimes {
  const [own, over] = [ticksOf(pid, [0, 2]), ticksOf(pid, [2, 4])];
  const living = childrenOf(pid).map((child) => ticksOf(child, [0, 4]));
  const tools = living.reduce((sum, ticks) => sum + ticks, over);
  return { own: CLOCK_TICK_MS * own, tools: CLOCK_TICK_MS * tools };
}

function sumOf({ own, tools }: CpuTimes): number {
  return own + tools;
}

/** Of user and system time, and those of children that are over. @see proc_pid_stat(5), fields 14 to 17 */
function ticksOf(pid: number | "self" | undefined, [from, to]: readonly [number, number]): number {
  const values = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return values.slice(11 + from, 11 + to).reduce((sum, value) => sum + Number(value), 0);
}

function childrenOf(pid: number | undefined): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

function findOnPath(name: string): string | undefined {
  const { status, stdout } = spawnSync("sh", ["-c", 'command -v "$1"', "sh", name], { encoding: "utf8" });
  return status === 0 ? stdout.trim() : undefined;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 1 : 0)} ms`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
