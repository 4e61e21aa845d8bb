/**
 * What `svcproxy run` costs, with the built command in a network namespace of its own, with nftables if not told otherwise, 2 endpoints a service:
 *
 * - from its start until the kernel serves the last service, from one file, over what `nft -f` takes for the same table in the same run;
 * - from the rename of a file in a directory with one file a service until a new connection meets the changed endpoint, quiet and while 50
 *   files a second change;
 * - from a flush of the built-in chain that leads to the services (iptables), and from one of all rules, until they are served again;
 * - CPU time while files change, while nothing does, and for a flush; memory, that of its helpers counted by their share;
 * - from SIGTERM until it has ended.
 *
 *     pnpm --filter svcproxy bench:agent          (root; SERVICES=5000 CHANGES=40 SECONDS=10 DATA_PATH=nftables|iptables)
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { inOwnNetwork } from "@svcproxy/host/testing";

const SERVICES = Number(process.env["SERVICES"] ?? 5_000);
const CHANGES = Number(process.env["CHANGES"] ?? 40);
const SECONDS = Number(process.env["SECONDS"] ?? 10);
const DATA_PATH = process.env["DATA_PATH"] ?? "nftables";
const CHANGES_A_SECOND = 50;

const program = resolve(import.meta.dirname, "../bin/svcproxy.cjs");
/** The address on which all that is dialled answers. */
const HOST = "192.0.2.1";
/** The service that is dialled: its endpoint is one of two ports that answer with their number. */
const PROBE = { name: "probe", vip: "10.100.255.1", ports: [3000, 3001] as const };
const CLOCK_TICK_MS = 10;
/** Before it is served, what is dialled is not answered: a dial that waits for the kernel to repeat its SYN would see that a second late. */
const DIAL_TIMEOUT_MS = 100;
const FLUSHES = 5;
/** Until whoever mended it has tidied up behind himself, and would not take the next one for an answer to it. */
const QUIET_AFTER_FLUSH_MS = 4_000;

await inOwnNetwork(measure);

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
  process.env["RUNTIME_DIRECTORY"] = join(folder, "run");
  process.env["XDG_CACHE_HOME"] = join(folder, "cache");
  mkdirSync(join(folder, "run"), { mode: 0o700 });
  const servers = PROBE.ports.map((port) =>
    createServer((socket) => socket.on("error", () => {}).end(String(port))).listen(port, HOST),
  );
  try {
    for (const args of ["link set lo up", `address add ${HOST}/32 dev lo`, "route add 10.0.0.0/8 dev lo"]) {
      execFileSync("ip", args.split(" "));
    }
    await fromOneFile(folder);
    await fromDirectory(folder);
  } finally {
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  }
}

async function fromOneFile(folder: string): Promise<void> {
  const file = join(folder, "topology.yaml");
  const text = topologyText();
  writeFileSync(file, text);
  // The first run fills Node's cache of compiled code, as the first start on a host does.
  const printed = execFileSync(process.execPath, [program, "nftables", file, "--host", "one"], { maxBuffer: 1 << 28 });
  const table = join(folder, "table.nft");
  writeFileSync(table, printed);
  const loads = [1, 2, 3].map(() => {
    const startMs = performance.now();
    execFileSync("nft", ["-f", table]);
    const tookMs = performance.now() - startMs;
    execFileSync("nft", ["flush", "ruleset"]);
    return tookMs;
  });
  const yardstickMs = median(loads);
  const starts: number[] = [];
  for (let round = 0; round < 3; round++) {
    const startMs = performance.now();
    const agent = startAgent(file);
    await answers(PROBE.ports[0]);
    starts.push(performance.now() - startMs);
    if (round === 2) report("one file", await memoryOf(agent));
    await end(agent);
    execFileSync("nft", ["flush", "ruleset"]);
  }
  const ratio = (median(starts) / yardstickMs).toFixed(1);
  say(
    `start → kernel: ${ms(median(starts))} (at most 1500 ms), ${ratio} times nft -f of the nftables table (${ms(yardstickMs)})`,
  );
}

async function fromDirectory(folder: string): Promise<void> {
  const directory = join(folder, "objects");
  mkdirSync(directory);
  writeFileSync(join(directory, "node.yaml"), JSON.stringify(node()));
  for (let index = 0; index < SERVICES; index++) writeService(directory, index, 3000);
  writeProbe(directory, PROBE.ports[0]);
  const agent = startAgent(directory);
  const startMs = performance.now();
  await answers(PROBE.ports[0]);
  say(`directory, start → kernel: ${ms(performance.now() - startMs)}`);
  await sleep(5_000);
  const idle = await cpuDuring(agent, () => sleep(SECONDS * 1_000));
  say(`idle: ${idle.toFixed(2)} % of a core (at most 0.2)`);
  await foreignFlushes(agent);
  const quiet = await flips(directory, CHANGES, 150);
  say(`one change → kernel, quiet: ${spread(quiet)} (median at most 20 ms)`);
  let busy: readonly number[] = [];
  const cpu = await cpuDuring(agent, async () => {
    const timer = setInterval(() => {
      writeService(directory, Math.floor(Math.random() * SERVICES), 3000 + Math.floor(Math.random() * 1000));
    }, 1_000 / CHANGES_A_SECOND);
    busy = await flips(directory, SECONDS * 4, 250);
    clearInterval(timer);
  });
  say(`one change → kernel, ${CHANGES_A_SECOND} changes a second: ${spread(busy)} (median at most 60 ms)`);
  say(`CPU meanwhile: ${cpu.toFixed(1)} % of a core (at most 10)`);
  report("directory, after that", await memoryOf(agent));
  const endMs = await end(agent);
  const isInPlace = (await dial()) === String(PROBE.ports[0]);
  say(`SIGTERM → end: ${ms(endMs)} (at most 100 ms), its rules ${isInPlace ? "in place" : "GONE"}`);
}

/** What other programs do to what is ours, and how soon it is undone. What is dialled from here goes through OUTPUT. */
async function foreignFlushes(agent: ChildProcess): Promise<void> {
  const jumps = ["iptables-nft", "-t", "nat", "-F", "OUTPUT"] as const;
  const all = ["nft", "flush", "ruleset"] as const;
  for (const [program, ...args] of DATA_PATH === "iptables" ? [jumps, all] : [all]) {
    const took: number[] = [];
    const cpuMs = cpuMsOf(agent);
    for (let round = 0; round < FLUSHES; round++) {
      execFileSync(program, args);
      const startMs = performance.now();
      await answers(PROBE.ports[0]);
      took.push(performance.now() - startMs);
      await sleep(QUIET_AFTER_FLUSH_MS);
    }
    const costMs = (cpuMsOf(agent) - cpuMs) / FLUSHES;
    say(`${[program, ...args].join(" ")} → served again: ${spread(took)}, ${ms(costMs)} of CPU time each`);
  }
}

/** Changes the probe's endpoint again and again. @returns how long each took to be met, in milliseconds */
async function flips(directory: string, count: number, pauseMs: number): Promise<readonly number[]> {
  const took: number[] = [];
  for (let index = 0; index < count; index++) {
    const port = PROBE.ports[(index + 1) % 2] ?? PROBE.ports[0];
    const startMs = performance.now();
    writeProbe(directory, port);
    await answers(port);
    took.push(performance.now() - startMs);
    await sleep(pauseMs * (0.5 + Math.random()));
  }
  writeProbe(directory, PROBE.ports[0]);
  await answers(PROBE.ports[0]);
  return took;
}

function startAgent(source: string): ChildProcess {
  const flags = ["--host", "one", "--foreign-host", "--data-path", DATA_PATH];
  const none = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];
  const log = process.env["LOG"] === undefined ? "ignore" : "inherit";
  return spawn(process.execPath, [...nodeFlags(), program, "run", source, ...flags, ...none], {
    stdio: ["ignore", "ignore", log],
  });
}

function nodeFlags(): readonly string[] {
  return (process.env["NODE_FLAGS"] ?? "").split(" ").filter((flag) => flag !== "");
}

/** @returns how long it took to end, in milliseconds */
async function end(agent: ChildProcess): Promise<number> {
  const startMs = performance.now();
  agent.kill("SIGTERM");
  await once(agent, "exit");
  return performance.now() - startMs;
}

/** Dials every millisecond until the endpoint with this port answers. */
async function answers(port: number): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  while ((await dial()) !== String(port)) {
    if (performance.now() > deadlineMs) throw new Error("the agent does not serve");
    await sleep(1);
  }
}

function dial(): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: PROBE.vip, port: 80, timeout: DIAL_TIMEOUT_MS });
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", () => resolve(""));
    socket.on("timeout", () => socket.destroy());
    socket.on("close", () => resolve(text));
  });
}

/** Of a core, its helpers among it. */
async function cpuDuring(agent: ChildProcess, work: () => Promise<unknown>): Promise<number> {
  const [cpu, startMs] = [cpuMsOf(agent), performance.now()];
  await work();
  return (100 * (cpuMsOf(agent) - cpu)) / (performance.now() - startMs);
}

/** The agent's own, and that of its helpers: the shell that starts tools lives on, and has theirs in its account. */
function cpuMsOf({ pid }: ChildProcess): number {
  const all = [pid, ...childrenOf(pid)];
  return CLOCK_TICK_MS * all.reduce<number>((sum, one) => sum + ticksOf(one), 0);
}

/** User and system time, its own and that of the children that ended. @see proc_pid_stat(5), fields 14 to 17 */
function ticksOf(pid: number | undefined): number {
  const values = readOfProcess(`/proc/${pid}/stat`).split(") ").at(-1)?.split(" ") ?? [];
  return values.slice(11, 15).reduce((sum, value) => sum + Number(value), 0);
}

/** Nothing of a process that has ended meanwhile. */
function readOfProcess(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

function childrenOf(pid: number | undefined): readonly number[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
    readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").split(" ").filter(Boolean).map(Number),
  );
}

interface Memory {
  readonly ownMiB: number;
  readonly allMiB: number;
}

async function memoryOf({ pid }: ChildProcess): Promise<Memory> {
  await sleep(5_000);
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const rollups = [pid, ...childrenOf(pid)].map((one) => readOfProcess(`/proc/${one}/smaps_rollup`));
  const kib = (pattern: RegExp, text: string) => Number(pattern.exec(text)?.[1] ?? 0);
  return {
    ownMiB: kib(/^VmRSS:\s+(\d+)/m, status) / 1024,
    allMiB: rollups.reduce((sum, text) => sum + kib(/^Pss:\s+(\d+)/m, text), 0) / 1024,
  };
}

function report(when: string, { ownMiB, allMiB }: Memory): void {
  const [own, all] = [ownMiB, allMiB].map((mib) => mib.toFixed(0));
  say(`memory, ${when}: ${own} MiB resident (at most 150), ${all} MiB with its helpers (PSS, at most 300)`);
}

function topologyText(): string {
  const services = Array.from({ length: SERVICES }, (_, index) => {
    const endpoints = endpointsOf(index).map((address) => `"${address}:3000"`);
    return `  - name: web${index}\n    clusterIP: ${vipOf(index)}\n    ports: [{ port: 80 }]\n    endpoints: [${endpoints.join(", ")}]\n`;
  });
  const probe = `  - { name: probe, clusterIP: ${PROBE.vip}, ports: [{ port: 80 }], endpoints: ["${HOST}:${PROBE.ports[0]}"] }\n`;
  return `hosts:\n  - { name: one, address: ${HOST}, podCIDR: 10.5.75.0/24 }\nservices:\n${services.join("")}${probe}`;
}

function node() {
  return {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name: "one" }, spec: { podCIDR: "10.5.75.0/24" } },
    status: { addresses: [{ type: "InternalIP", address: HOST }] },
  };
}

function writeService(directory: string, index: number, port: number): void {
  writeObjects(directory, { name: `web${index}`, vip: vipOf(index), addresses: endpointsOf(index), port });
}

function writeProbe(directory: string, port: number): void {
  writeObjects(directory, { name: PROBE.name, vip: PROBE.vip, addresses: [HOST], port });
}

function writeObjects(
  directory: string,
  { name, vip, addresses, port }: { name: string; vip: string; addresses: readonly string[]; port: number },
): void {
  const path = join(directory, `${name}.yaml`);
  const endpoints = addresses.map((address) => `  - { addresses: [${address}], conditions: { ready: true } }\n`);
  const service = `apiVersion: v1\nkind: Service\nmetadata: { name: ${name}, namespace: default }\nspec: { clusterIP: ${vip}, ports: [{ port: 80 }] }\n`;
  const slice = `apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata: { name: ${name}-1, namespace: default, labels: { kubernetes.io/service-name: ${name} } }\naddressType: IPv4\nports: [{ port: ${port}, protocol: TCP }]\nendpoints:\n${endpoints.join("")}`;
  writeFileSync(`${path}.new`, `${service}---\n${slice}`);
  renameSync(`${path}.new`, path);
}

function vipOf(index: number): string {
  return `10.100.${(index + 1) >> 8}.${(index + 1) & 255}`;
}

function endpointsOf(index: number): readonly string[] {
  return [2 * index, 2 * index + 1].map((number) => `10.${50 + (number >> 16)}.${(number >> 8) & 255}.${number & 255}`);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

function spread(values: readonly number[]): string {
  return `median ${ms(median(values))}, most ${ms(Math.max(...values))} of ${values.length}`;
}

function ms(value: number): string {
  return `${value.toFixed(value < 100 ? 1 : 0)} ms`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
