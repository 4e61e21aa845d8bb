import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { resolve } from "node:path";
import process from "node:process";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { TestService } from "../src/testing/loopback-plan.ts";
import { CLIENTS, exchangeDatagrams, type Outcome, type Target } from "./clients.ts";
import type { Order, Report } from "./proxy-process.ts";

// Random clients against random endpoints while the topology changes. At the end every byte is accounted for, sockets and
// timers are back to where they began, and memory has not grown. Exit code 1 where one of these is not so.

const { values: flags } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    clients: { type: "string", default: "60" },
    // None: then memory and sockets of all that is carried are this one process'.
    workers: { type: "string", default: "0" },
  },
});
const seconds = Number(flags.seconds);

/** Loopback addresses that no other run is likely to use. */
const BLOCK = `127.${2 + Math.floor(Math.random() * 250)}.${Math.floor(Math.random() * 250)}`;
const VIP = `${BLOCK}.1`;
const BACKEND = `${BLOCK}.2`;
const PORTS = { clean: [7001, 7002, 7003], slow: [7011], refusing: [7021], resetting: [7031, 7032], udp: [7041, 7042] };
/** Only connections through the clean service have to end whole; each of its endpoints but the refusing ones answers. */
const TARGETS = {
  clean: { address: VIP, port: 8001 },
  dirty: { address: VIP, port: 8002 },
  sometimes: { address: VIP, port: 8003 },
  nobody: { address: VIP, port: 8004 },
  udp: { address: VIP, port: 8005 },
} as const;

/** Clients that end well where nobody cuts them short. */
const WHOLE_CLIENTS: readonly string[] = ["fast", "slow", "small", "uploading", "downloading"];

const CHANGE_EVERY_MS = 250;
/** The first part fills caches and compiles code; memory is compared from there on. */
const WARM_UP_SHARE = 0.25;
/** Longer than any client takes. */
const CLIENT_PATIENCE_MS = 60_000;
const HUNG: Outcome = { kind: "wrong", text: "it hangs" };
const QUIET_PATIENCE_MS = 20_000;
/** What a heap may differ by when nothing is left in it. */
const HEAP_TOLERANCE_BYTES = 6 * 1024 * 1024;

const faults: string[] = [];
const tally = { whole: 0, cut: 0, wrong: 0, bytes: 0, datagramsLost: 0, changes: 0 };

await using _endpoints = await startEndpoints();
await using proxy = await startProxy();
await proxy.apply([]);
const atStart = await proxy.report();
await load(seconds * WARM_UP_SHARE);
const warm = await quiet("after the warm-up");
await load(seconds * (1 - WARM_UP_SHARE));
const atEnd = await quiet("at the end");
checkMemory(warm, atEnd);
await proxy.apply([]);
checkLeftOvers(atStart, await untilSettled(atStart));
print(atEnd);
process.exitCode = faults.length === 0 ? 0 : 1;

async function load(forSeconds: number): Promise<void> {
  // Where nobody listens yet a client is refused, and rightly so.
  await proxy.apply(someServices());
  const until = Date.now() + forSeconds * 1000;
  const runs = Array.from({ length: Number(flags.clients) }, async () => {
    while (Date.now() < until) await runClient();
  });
  const datagrams = (async () => {
    while (Date.now() < until) {
      const { lost, wrong } = await exchangeDatagrams(TARGETS.udp);
      tally.datagramsLost += lost;
      if (wrong > 0) faults.push(`${wrong} datagrams came back changed`);
    }
  })();
  while (Date.now() < until) {
    await proxy.apply(someServices());
    tally.changes++;
    await sleep(CHANGE_EVERY_MS);
  }
  await Promise.all([...runs, datagrams]);
}

async function runClient(): Promise<void> {
  const client = pickWeighted(CLIENTS);
  const [service, target] = pickService();
  const outcome = await Promise.race([client.run(target), sleep(CLIENT_PATIENCE_MS, HUNG, { ref: false })]);
  tally[outcome.kind]++;
  if (outcome.kind === "whole") tally.bytes += outcome.bytes;
  const mustBeWhole = service === "clean" && WHOLE_CLIENTS.includes(client.name);
  if (outcome.kind === "wrong") faults.push(`${client.name} client, ${service} service: ${outcome.text}`);
  else if (outcome.kind === "cut" && mustBeWhole)
    faults.push(`${client.name} client, clean service: cut short: ${outcome.why}`);
}

function pickService(): readonly [keyof typeof TARGETS, Target] {
  const dice = Math.random();
  if (dice < 0.6) return ["clean", TARGETS.clean];
  if (dice < 0.85) return ["dirty", TARGETS.dirty];
  return dice < 0.95 ? ["sometimes", TARGETS.sometimes] : ["nobody", TARGETS.nobody];
}

function pickWeighted<T extends { readonly weight: number }>(choices: readonly T[]): T {
  let dice = Math.random() * choices.reduce((sum, { weight }) => sum + weight, 0);
  for (const choice of choices) {
    dice -= choice.weight;
    if (dice < 0) return choice;
  }
  throw new RangeError("nothing to pick from");
}

/** The services as they are now: endpoints come and go, and one service too. */
function someServices(): readonly TestService[] {
  const some = (ports: readonly number[]) => ports.filter(() => Math.random() < 0.6);
  const at = (ports: readonly number[]) => ports.map((port) => [BACKEND, port] as const);
  const [always = 0] = PORTS.clean;
  const clean = [always, ...some([...PORTS.clean.slice(1), ...PORTS.slow, ...PORTS.refusing])];
  const services: TestService[] = [
    { vip: VIP, port: TARGETS.clean.port, name: "clean", endpoints: at(clean) },
    {
      vip: VIP,
      port: TARGETS.dirty.port,
      name: "dirty",
      endpoints: at([...some(PORTS.resetting), ...some(PORTS.clean)]),
    },
    { vip: VIP, port: TARGETS.nobody.port, name: "nobody", endpoints: [] },
    { vip: VIP, port: TARGETS.udp.port, name: "udp", protocol: "udp", endpoints: at(PORTS.udp) },
  ];
  if (Math.random() < 0.5)
    services.push({ vip: VIP, port: TARGETS.sometimes.port, name: "sometimes", endpoints: at(PORTS.clean) });
  return services;
}

/** Waits until no connection is left, and looks at the books. */
async function quiet(when: string): Promise<Report> {
  const deadline = Date.now() + QUIET_PATIENCE_MS;
  let report = await proxy.report();
  while (report.active > 0 && Date.now() < deadline) {
    await sleep(200);
    report = await proxy.report();
  }
  if (report.active > 0) faults.push(`${report.active} connections are left ${when}`);
  if (report.accepted !== report.ended)
    faults.push(`${report.accepted} connections began and ${report.ended} ended ${when}`);
  return report;
}

function checkMemory(before: Report, after: Report): void {
  const grown = after.heapBytes - before.heapBytes;
  if (grown > HEAP_TOLERANCE_BYTES) faults.push(`the heap has grown by ${mebibytes(grown)}`);
}

/** Sockets close a moment after they are let go. */
async function untilSettled(baseline: Report): Promise<Report> {
  const deadline = Date.now() + QUIET_PATIENCE_MS;
  let report = await proxy.report();
  while (leftOvers(baseline, report).length > 0 && Date.now() < deadline) {
    await sleep(200);
    report = await proxy.report();
  }
  return report;
}

function checkLeftOvers(before: Report, after: Report): void {
  faults.push(...leftOvers(before, after));
}

function leftOvers(before: Report, after: Report): readonly string[] {
  const kinds = Object.entries(after.resources).filter(([kind, count]) => count > (before.resources[kind] ?? 0));
  const left = kinds.map(
    ([kind, count]) => `${count} ${kind} are left, ${before.resources[kind] ?? 0} were there before`,
  );
  if (after.descriptors > before.descriptors)
    left.push(`${after.descriptors - before.descriptors} descriptors are left; TCP: ${after.sockets.join("; ")}`);
  return left;
}

function print(report: Report): void {
  const lines = [
    `${seconds} s, ${flags.clients} clients at a time, ${flags.workers} worker(s), ${tally.changes} topology changes`,
    `connections: ${report.accepted} accepted, ${tally.whole} whole (checksums of each direction right), ${tally.cut} cut short on purpose, ${tally.wrong} wrong`,
    `bytes: ${mebibytes(tally.bytes)} checked, ${mebibytes(report.bytes)} counted by the proxy; datagrams lost: ${tally.datagramsLost}`,
    `endings: ${Object.entries(report.endings)
      .map(([reason, count]) => `${count} ${reason}`)
      .join(", ")}`,
    `heap: ${mebibytes(warm.heapBytes)} after the warm-up, ${mebibytes(report.heapBytes)} at the end; resident ${mebibytes(warm.residentBytes)}, ${mebibytes(report.residentBytes)}`,
    faults.length === 0
      ? "all is well"
      : `FAULTS (${faults.length}):\n  ${[...new Set(faults)].slice(0, 20).join("\n  ")}`,
  ];
  process.stdout.write(`${lines.join("\n")}\n`);
}

function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
}

async function startEndpoints(): Promise<AsyncDisposable> {
  const lists = [PORTS.clean, PORTS.slow, PORTS.resetting, PORTS.udp].map((ports) => ports.join(","));
  const child = fork(resolve(import.meta.dirname, "endpoints.ts"), [BACKEND, ...lists]);
  await firstMessage(child);
  return { [Symbol.asyncDispose]: () => end(child) };
}

async function startProxy() {
  const child = fork(resolve(import.meta.dirname, "proxy-process.ts"), [flags.workers], { execArgv: ["--expose-gc"] });
  await firstMessage(child);
  const order = async (message: Order): Promise<unknown> => {
    child.send(message);
    const [answer] = await once(child, "message");
    return answer;
  };
  return {
    apply: async (services: readonly TestService[]) => {
      const answer = await order({ kind: "apply", services });
      if (JSON.stringify(answer) !== '{"failed":[]}') faults.push(`not served: ${JSON.stringify(answer)}`);
    },
    report: async (): Promise<Report> => parseReport(await order({ kind: "report" })),
    [Symbol.asyncDispose]: () => end(child),
  };
}

/** What comes by IPC is plain data of our own making. */
function parseReport(value: unknown): Report {
  if (typeof value === "object" && value !== null && isReport(value)) return value;
  throw new TypeError("the proxy gave no report");
}

function isReport(value: object): value is Report {
  return "active" in value && "resources" in value && "endings" in value;
}

/** @throws Error where the process ends instead */
async function firstMessage(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit").then(([code]) =>
    Promise.reject(new Error(`${child.spawnfile} ended with ${code}`)),
  );
  await Promise.race([once(child, "message"), ended]);
  ended.catch(() => {});
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGKILL");
  await once(child, "exit");
}
