/**
 * `svcproxy run` under everything at once, with the built command in a network namespace of its own: services and endpoints change at random, 20
 * times a second, in a directory with one file a service; a foreign program flushes rules; the agent is killed by SIGKILL and started again; and
 * 50 connections a second are dialled to services that always have an endpoint. In the end
 *
 * - who answers for each service is who the files say, and with rules the kernel has the plan, by `diff` and by proof,
 * - no connection was refused but within a second and a load after a flush, or after the start of an agent that was not there to mend it; with
 *   the userspace proxy also while the agent that carries them was killed,
 * - the agent's memory is where it was.
 *
 *     pnpm soak:agent                 3 minutes (root)
 *     pnpm soak:agent --minutes 30
 *     pnpm soak:agent --data-path iptables --seed 7
 */
import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { VIP_DEVICE } from "@svcproxy/host";

const { values: flags } = parseArgs({
  options: {
    minutes: { type: "string", default: "3" },
    "data-path": { type: "string", default: "nftables" },
    seed: { type: "string", default: String(Date.now() % 100_000) },
    inside: { type: "boolean", default: false },
  },
});
const SECONDS = 60 * Number(flags.minutes);
const DATA_PATH = flags["data-path"];
const CHANGES_A_SECOND = 20;
const DIALS_A_SECOND = 50;
/** Those that are there all the time, with at least one endpoint, and are dialled; and those that come and go. */
const [STABLE, PASSING] = [60, 60];
const FLUSH_EVERY_MS = 11_000;
const KILL_EVERY_MS = Math.max(17_000, (SECONDS * 1_000) / 30);
/** After a flush: a second, and one full load on a busy machine. */
const FLUSH_GRACE_MS = 3_000;
/** The last part of the time has no kill, so that the memory of one process can be compared. */
const KILLS_UNTIL = 2 / 3;
const MAX_GROWTH = 1.25;

const program = resolve(import.meta.dirname, "../bin/svcproxy.cjs");
const HOST = "192.0.2.1";
const PORTS = Array.from({ length: 24 }, (_, index) => 20_000 + index);
const NONE = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];

/** What a foreign program does. */
const FLUSHES: Readonly<Record<string, readonly string[]>> = {
  nftables: ["nft flush ruleset", "nft flush map ip svcproxy services", "nft delete table ip svcproxy"],
  iptables: ["nft flush ruleset", "iptables-nft -t nat -F PREROUTING", "iptables-nft -t nat -F OUTPUT"],
  userspace: [`ip address flush dev ${VIP_DEVICE}`, `ip link delete ${VIP_DEVICE}`],
};
/** Rules serve on without their agent; what a process carries does not. */
const SERVES_ALONE = DATA_PATH !== "userspace";

/** The endpoints' ports of each service, as its file says. */
const wanted = new Map<number, readonly number[]>();

const random = randomFrom(Number(flags.seed));

async function soak(): Promise<boolean> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-soak-"));
  process.env["RUNTIME_DIRECTORY"] = join(folder, "run");
  process.env["XTABLES_LOCKFILE"] = join(folder, "xtables.lock");
  mkdirSync(join(folder, "run"), { mode: 0o700 });
  const servers = PORTS.map((port) =>
    createServer((socket) => socket.on("error", () => {}).end(String(port))).listen(port, HOST),
  );
  try {
    for (const args of ["link set lo up", `address add ${HOST}/32 dev lo`, "route add 10.0.0.0/8 dev lo"]) {
      execFileSync("ip", args.split(" "));
    }
    return await play(folder);
  } finally {
    for (const server of servers) server.close();
    rmSync(folder, { recursive: true });
  }
}

async function play(folder: string): Promise<boolean> {
  const directory = join(folder, "objects");
  mkdirSync(directory);
  writeFileSync(join(directory, "node.yaml"), JSON.stringify(node()));
  for (let index = 0; index < STABLE; index++) writeService(directory, { index, ports: somePorts() });
  say(`${flags.minutes} minutes, ${DATA_PATH}, seed ${flags.seed}`);
  const dials = new Dials();
  const agent = new RestartedAgent(directory, dials);
  await untilServed();
  const endMs = performance.now() + SECONDS * 1_000;
  const timers = [
    setInterval(() => change(directory), 1_000 / CHANGES_A_SECOND),
    setInterval(() => void dials.dial(Math.floor(random() * STABLE)), 1_000 / DIALS_A_SECOND),
    setInterval(() => flush(dials), FLUSH_EVERY_MS),
    setInterval(() => {
      if (endMs - performance.now() > (1 - KILLS_UNTIL) * SECONDS * 1_000) agent.kill();
    }, KILL_EVERY_MS),
  ];
  await sleep(KILLS_UNTIL * SECONDS * 1_000 + (1 - KILLS_UNTIL) * SECONDS * 250);
  const memoryBefore = agent.memoryMiB();
  await sleep(Math.max(0, endMs - performance.now()));
  for (const timer of timers) clearInterval(timer);
  const memoryAfter = agent.memoryMiB();
  await sleep(FLUSH_GRACE_MS);
  const isSettled = SERVES_ALONE ? await settles(directory) : undefined;
  const wrong = await wrongAnswers();
  await agent.end();
  const proof = SERVES_ALONE ? run(["prove", directory, "--host", "one", "--live", "--foreign-host"]) : undefined;
  const checks: readonly (readonly [string, boolean])[] = [
    ...(isSettled === undefined ? [] : [[`the kernel has the plan (${isSettled.why})`, isSettled.isSo] as const]),
    ...(proof === undefined ? [] : [[`by proof as well: exit code ${proof.status}`, proof.status === 0] as const]),
    [`of ${wanted.size} services, ${wrong.length} are answered by others than their endpoints`, wrong.length === 0],
    [
      `${dials.answered} connections were answered, ${dials.excused} failed after a flush, ${dials.refused} else`,
      dials.refused === 0 && dials.answered > 0,
    ],
    [`after a flush the last that failed was dialled after ${describeTimes(dials.outagesMs)}`, true],
    [`memory ${memoryBefore.toFixed(0)} → ${memoryAfter.toFixed(0)} MiB`, memoryAfter < memoryBefore * MAX_GROWTH],
  ];
  say(`${changeCount} changes, ${flushCount} flushes, ${agent.killCount} kills`);
  for (const [what, isSo] of checks) say(`${isSo ? "ok     " : "FAILED "} ${what}`);
  if (proof !== undefined && proof.status !== 0) say(proof.stdout + proof.stderr);
  for (const line of [...wrong, ...dials.failures].slice(0, 10)) say(`  ${line}`);
  return checks.every(([, isSo]) => isSo);
}

/** Started again each time that it is killed, as a unit does it. */
class RestartedAgent {
  readonly #directory: string;
  readonly #dials: Dials;
  #process: ChildProcess;
  #isEnding = false;
  killCount = 0;

  constructor(directory: string, dials: Dials) {
    this.#directory = directory;
    this.#dials = dials;
    this.#process = this.#start();
  }

  #start(): ChildProcess {
    const args = ["run", this.#directory, "--host", "one", "--foreign-host", "--data-path", DATA_PATH, ...NONE];
    const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "ignore", "pipe"] });
    let said = "";
    child.stderr.on("data", (data) => {
      said = (said + data).slice(-4_000);
      if (said.includes('"state":"following"')) this.#dials.agentServes(child.pid);
    });
    child.on("exit", (code) => {
      if (this.#isEnding) return;
      if (code !== null) say(`the agent ended with ${code}:\n${said}`);
      this.#process = this.#start();
    });
    return child;
  }

  kill(): void {
    this.killCount += 1;
    this.#dials.agentKilled();
    this.#process.kill("SIGKILL");
  }

  memoryMiB(): number {
    const status = readFileSync(`/proc/${this.#process.pid}/status`, "utf8");
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
  }

  async end(): Promise<void> {
    this.#isEnding = true;
    this.#process.kill("SIGTERM");
    await once(this.#process, "exit");
  }
}

/** Connections to services that have a live endpoint at every moment. */
class Dials {
  answered = 0;
  excused = 0;
  refused = 0;
  readonly failures: string[] = [];
  /** Of each flush that an agent was there to mend: after how long the last connection that failed was dialled. */
  readonly outagesMs: number[] = [];
  #flushedAtMs = Number.NEGATIVE_INFINITY;
  #servingPid: number | undefined;
  /** A flush that no agent has had a second for yet. */
  #isAgentOwed = false;
  #outageMs: number | undefined;

  /** It has carried its plan out. */
  agentServes(pid: number | undefined): void {
    if (this.#servingPid === pid) return;
    this.#servingPid = pid;
    if (!this.#isAgentOwed) return;
    this.#isAgentOwed = false;
    this.#flushedAtMs = performance.now();
  }

  agentKilled(): void {
    this.#servingPid = undefined;
    if (!SERVES_ALONE || performance.now() - this.#flushedAtMs < FLUSH_GRACE_MS) this.#owe();
  }

  flushed(): void {
    if (this.#outageMs !== undefined) this.outagesMs.push(this.#outageMs);
    this.#outageMs = 0;
    this.#flushedAtMs = performance.now();
    if (this.#servingPid === undefined) this.#owe();
  }

  #owe(): void {
    this.#isAgentOwed = true;
    this.#outageMs = undefined;
  }

  async dial(index: number): Promise<void> {
    const startMs = performance.now();
    const answer = await dial(index);
    if (isAnswer(answer)) {
      this.answered += 1;
      return;
    }
    const agoMs = Math.round(startMs - this.#flushedAtMs);
    if (this.#outageMs !== undefined && agoMs > this.#outageMs) this.#outageMs = agoMs;
    if (this.#isAgentOwed || agoMs < FLUSH_GRACE_MS) this.excused += 1;
    else {
      this.refused += 1;
      this.failures.push(`service ${index}: ${answer}, ${agoMs} ms after the last flush`);
    }
  }
}

function describeTimes(timesMs: readonly number[]): string {
  const sorted = timesMs.toSorted((one, other) => one - other);
  const at = (share: number) => `${sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0} ms`;
  return `${at(0.5)} in the median of ${sorted.length}, ${at(1)} at most`;
}

let changeCount = 0;
let flushCount = 0;

function change(directory: string): void {
  changeCount += 1;
  const isStable = random() < 0.6;
  const index = isStable ? Math.floor(random() * STABLE) : STABLE + Math.floor(random() * PASSING);
  if (!isStable && random() < 0.4) {
    rmSync(join(directory, `web${index}.yaml`), { force: true });
    wanted.delete(index);
  } else writeService(directory, { index, ports: isStable || random() < 0.8 ? somePorts() : [] });
}

function flush(dials: Dials): void {
  const deeds = FLUSHES[DATA_PATH] ?? [];
  const deed = deeds[flushCount % deeds.length];
  if (deed === undefined) return;
  flushCount += 1;
  // What is not there just now, because the agent that was killed has not put it back, cannot be flushed.
  spawnSync("sh", ["-c", deed], { stdio: "ignore" });
  dials.flushed();
}

async function untilServed(): Promise<void> {
  const deadlineMs = performance.now() + 30_000;
  while (!isAnswer(await dial(0))) {
    if (performance.now() > deadlineMs) throw new Error("the agent does not serve");
    await sleep(50);
  }
}

/** Dials each service until somebody who is none of its endpoints answers, or nobody does where there are some. */
async function wrongAnswers(): Promise<readonly string[]> {
  const found = await Promise.all(
    [...wanted].map(async ([index, ports]) => {
      const answers = await Promise.all(Array.from({ length: 5 }, () => dial(index)));
      const isAnswered = ports.length > 0;
      const wrong = answers.find(
        (answer) => isAnswer(answer) !== isAnswered || (isAnswered && !ports.includes(Number(answer))),
      );
      return wrong === undefined ? [] : [`service ${index} of ${ports.join(" ")}: ${wrong}`];
    }),
  );
  return found.flat();
}

/** Whether the kernel comes to have what the files say. */
async function settles(directory: string): Promise<{ readonly isSo: boolean; readonly why: string }> {
  let last = "";
  for (let round = 0; round < 20; round++) {
    const { status, stdout, stderr } = run([DATA_PATH, "diff", directory, "--host", "one", "--foreign-host"]);
    if (status === 0) return { isSo: true, why: `after ${round} looks` };
    last = `${stdout}${stderr}`.slice(0, 500);
    await sleep(500);
  }
  return { isSo: false, why: last };
}

function run(args: readonly string[]) {
  return spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
}

function isAnswer(text: string): boolean {
  return /^\d+$/.test(text);
}

function dial(index: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: vipOf(index), port: 80, timeout: 2_000 });
    let text = "";
    socket.on("data", (data) => {
      text += data;
    });
    socket.on("error", (error) => resolve(error.message));
    socket.on("timeout", () => {
      socket.destroy();
      resolve("no answer");
    });
    socket.on("close", () => resolve(text));
  });
}

function somePorts(): readonly number[] {
  const count = 1 + Math.floor(random() * 4);
  return [...new Set(Array.from({ length: count }, () => PORTS[Math.floor(random() * PORTS.length)] ?? 20_000))];
}

function node() {
  return {
    ...{ apiVersion: "v1", kind: "Node", metadata: { name: "one" }, spec: { podCIDR: "10.5.75.0/24" } },
    status: { addresses: [{ type: "InternalIP", address: HOST }] },
  };
}

/** A service whose endpoints are ports of one address: a slice each, as a slice has one number for a port. */
function writeService(directory: string, { index, ports }: { index: number; ports: readonly number[] }): void {
  wanted.set(index, ports);
  const name = `web${index}`;
  const service = {
    ...{ apiVersion: "v1", kind: "Service", metadata: { name, namespace: "default" } },
    spec: { clusterIP: vipOf(index), ports: [{ port: 80 }] },
  };
  const slices = ports.map((port) => ({
    ...{ apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", addressType: "IPv4" },
    metadata: {
      ...{ name: `${name}-${port}`, namespace: "default" },
      labels: { "kubernetes.io/service-name": name },
    },
    ports: [{ port, protocol: "TCP" }],
    endpoints: [{ addresses: [HOST], conditions: { ready: true } }],
  }));
  const path = join(directory, `${name}.yaml`);
  writeFileSync(`${path}.new`, [service, ...slices].map((object) => `${JSON.stringify(object)}\n`).join("---\n"));
  renameSync(`${path}.new`, path);
}

function vipOf(index: number): string {
  return `10.100.${(index + 1) >> 8}.${(index + 1) & 255}`;
}

/** @see mulberry32 */
function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

if (flags.inside) process.exitCode = (await soak()) ? 0 : 1;
else {
  const given = [`--minutes=${flags.minutes}`, `--data-path=${DATA_PATH}`, `--seed=${flags.seed}`];
  const own = [process.execPath, ...process.execArgv, process.argv[1] ?? "", ...given, "--inside"];
  const { status } = spawnSync("unshare", ["--net", "--kill-child", ...own], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}
