/**
 * How long reloads keep new connections waiting: `svcproxy userspace --watch` with one worker and 5,000 services × 10 endpoints, whose file changes
 * again and again while a client dials every 5 ms and waits for the answer. The longest wait, and the ratio to the same without a reload.
 *
 *     pnpm --filter svcproxy bench:reload          (root; SERVICES=5000 ENDPOINTS=10 SECONDS=20)
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { inOwnNetwork, largeTopologyText } from "@svcproxy/host/testing";

const SERVICES = Number(process.env["SERVICES"] ?? 5_000);
const ENDPOINTS = Number(process.env["ENDPOINTS"] ?? 10);
const SECONDS = Number(process.env["SECONDS"] ?? 20);
const DIAL_EVERY_MS = 5;
const RELOAD_EVERY_MS = 2_000;
/** What the issue allows. */
const BOUND_MS = 100;
const PROBE_VIP = "10.100.255.1";
const SERVER_PORT = 8080;

const SERVER = `require("net").createServer((socket) => socket.on("error", () => {}).end("x")).listen(${SERVER_PORT}, "127.0.0.1")`;

const program = resolve(import.meta.dirname, "../bin/svcproxy.cjs");

await inOwnNetwork(measure);

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
  execFileSync("ip", ["link", "set", "lo", "up"]);
  const file = join(folder, "topology.yaml");
  const log = join(folder, "log");
  writeFileSync(log, "");
  const texts = [0, 1].map(topologyText);
  writeFileSync(file, texts[0] ?? "");
  const server = spawn(process.execPath, ["-e", SERVER], { stdio: "ignore" });
  const flags = ["--host", "node0", "--foreign-host", "--watch", "--runtime-dir", join(folder, "run")];
  const command = [process.execPath, program, "userspace", file, ...flags].map((word) => `'${word}'`).join(" ");
  const proxy = spawn("sh", ["-c", `exec ${command} 2> '${log}'`], { stdio: "ignore" });
  try {
    await until(() => reloadsIn(log) >= 1);
    const quiet = await dial(SECONDS * 1_000, () => {});
    const before = reloadsIn(log);
    // Written beforehand: the dials are not to wait for it.
    const coming = Array.from({ length: Math.ceil((SECONDS * 1_000) / RELOAD_EVERY_MS) + 1 }, (_, index) => {
      const path = join(folder, `${index}.yaml`);
      writeFileSync(path, texts[(index + 1) % 2] ?? "");
      return path;
    });
    const reloading = await dial(SECONDS * 1_000, () => {
      const next = coming.shift();
      if (next !== undefined) renameSync(next, file);
    });
    const reloads = reloadsIn(log) - before;
    const row = (name: string, { waits, lost }: Waits) =>
      `${name.padEnd(22)} ${String(waits.length).padStart(6)} dials   p50 ${at(waits, 0.5)}   p99 ${at(waits, 0.99)}   longest ${at(waits, 1)} ms   lost ${lost}`;
    process.stdout.write(`${SERVICES} services x ${ENDPOINTS} endpoints, one worker\n`);
    process.stdout.write(`${row("quiet", quiet)}\n${row(`${reloads} reloads`, reloading)}\n`);
    const [quietest = 1, longest = 0] = [quiet.waits.at(-1), reloading.waits.at(-1)];
    process.stdout.write(
      `longest, ratio to quiet: ${(longest / quietest).toFixed(2)}; bound ${BOUND_MS} ms: ${longest <= BOUND_MS ? "kept" : "broken"}\n`,
    );
    if (reloads === 0) throw new Error(`nothing was reloaded: ${readFileSync(log, "utf8").slice(-500)}`);
  } finally {
    proxy.kill("SIGKILL");
    server.kill("SIGKILL");
    await once(proxy, "exit");
    rmSync(folder, { recursive: true });
  }
}

interface Waits {
  /** Milliseconds from the dial to the answer, the shortest first. */
  readonly waits: readonly number[];
  readonly lost: number;
}

/** @param reload called every now and then */
async function dial(forMs: number, reload: () => void): Promise<Waits> {
  const waits: number[] = [];
  let lost = 0;
  const open: Promise<void>[] = [];
  const startedMs = performance.now();
  let reloadAtMs = startedMs + RELOAD_EVERY_MS / 2;
  while (performance.now() - startedMs < forMs) {
    if (performance.now() > reloadAtMs) {
      reloadAtMs += RELOAD_EVERY_MS;
      reload();
    }
    open.push(dialOnce().then((waitMs) => (waitMs === undefined ? void lost++ : void waits.push(waitMs))));
    await sleep(DIAL_EVERY_MS);
  }
  await Promise.all(open);
  return { waits: waits.sort((a, b) => a - b), lost };
}

/** @returns undefined where the connection was lost */
async function dialOnce(): Promise<number | undefined> {
  const startedMs = performance.now();
  const socket = connect(80, PROBE_VIP);
  const isLost = await once(socket, "data").then(
    () => false,
    () => true,
  );
  const waitMs = performance.now() - startedMs;
  socket.destroy();
  return isLost ? undefined : waitMs;
}

/** Two topologies that differ in one endpoint. */
function topologyText(turn: number): string {
  const services = largeTopologyText({ services: SERVICES, endpoints: ENDPOINTS });
  const probe = [
    "  - name: probe",
    `    clusterIP: ${PROBE_VIP}`,
    "    ports: [{ port: 80 }]",
    `    endpoints: ["127.0.0.1:${SERVER_PORT}"]`,
    "  - name: changing",
    "    clusterIP: 10.100.255.2",
    "    ports: [{ port: 80 }]",
    `    endpoints: ["127.0.0.1:${SERVER_PORT + 1 + turn}"]`,
  ];
  return `${services}${probe.join("\n")}\n`;
}

function reloadsIn(log: string): number {
  return readFileSync(log, "utf8").split('"msg":"serving ').length - 1;
}

function at(waits: readonly number[], share: number): string {
  return (waits[Math.min(waits.length - 1, Math.floor(waits.length * share))] ?? 0).toFixed(1).padStart(6);
}

async function until(isSo: () => boolean): Promise<void> {
  for (let tries = 0; tries < 1_200 && !isSo(); tries++) await sleep(100);
}
