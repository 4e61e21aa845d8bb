import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type Browser, chromium, type Page } from "playwright-core";
import { cpuSeconds } from "./cpu-time.ts";
import { HOST, writeTopology } from "./large-topology.ts";

/**
 * What an open page costs, with rules that are given, so that every service is judged. For the server: its part of a core while a page
 * is open and all is judged (target: 5 %). For the browser: the longest frame while somebody scrolls and types, of many services over
 * that of two in the same run, both while services are being judged and afterwards; and the CPU of its longest task (target: 50 ms),
 * which other programs of the machine do not lengthen.
 *
 *     pnpm --filter svcproxy build && pnpm --filter @svcproxy/page bench        (SERVICES=10000)
 */
const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const OPEN_MS = 10_000;
const MOST_SHARE = 0.05;
/** Beyond it browsers speak of a long task: somebody who types sees it. */
const MOST_TASK_MS = 50;
const SCROLLS = 60;

const program = resolve(import.meta.dirname, "../../cli/bin/svcproxy.cjs");
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const few = await measure(2, browser);
  const many = await measure(SERVICES, browser);
  const exported = await measureExport(SERVICES, browser);
  const ms = (value: number) => `${value.toFixed(0)} ms`.padStart(15);
  const row = (name: string, { share, judging, settled, loadMs }: Measured) =>
    [
      name.padEnd(16),
      `${(share * 100).toFixed(2)} %`.padStart(9),
      ...[judging.frameMs, judging.taskMs, settled.frameMs, settled.taskMs, loadMs].map(ms),
    ].join("");
  process.stdout.write(
    [
      `${" ".repeat(27)}while judged                  afterwards`,
      `${"".padEnd(16)}${"server".padStart(9)}${["longest frame", "CPU of a task", "longest frame", "CPU of a task", "until shown"].map((title) => title.padStart(15)).join("")}`,
      row("2 services", few),
      row(`${SERVICES} services`, many),
      `longest frame over that of 2 services: ${(many.settled.frameMs / few.settled.frameMs).toFixed(2)}`,
      `CPU of the longest task: ${(Math.max(many.judging.taskMs, many.settled.taskMs) / MOST_TASK_MS).toFixed(2)} of ${MOST_TASK_MS} ms`,
      `exported with ${SERVICES} services: shown after ${exported.shownMs.toFixed(0)} ms, a packet after ${exported.packetMs.toFixed(0)} ms; CPU of the longest task until then ${exported.taskMs.toFixed(0)} ms`,
      `server's part of a core: ${(many.share / MOST_SHARE).toFixed(2)} of ${MOST_SHARE * 100} %`,
      "",
    ].join("\n"),
  );
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}

interface Measured {
  readonly share: number;
  readonly loadMs: number;
  readonly judging: Used;
  readonly settled: Used;
}

/** The longest of what happened while the page was used. */
interface Used {
  readonly frameMs: number;
  readonly taskMs: number;
}

async function measure(count: number, browser: Browser): Promise<Measured> {
  const topology = join(folder, `${count}.json`);
  writeTopology(topology, count);
  const rules = writeRules(topology);
  const server = spawn(process.execPath, [program, "view", topology, "--host", HOST.name, "--rules", rules], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const [url] = await once(createInterface({ input: server.stdout }), "line");
    const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
    const startedAt = performance.now();
    await page.goto(String(url));
    await page.getByText(`${count.toLocaleString("en-US")} services`).waitFor();
    const loadMs = performance.now() - startedAt;
    const judging = await used(browser, page);
    await page.getByLabel("State").selectOption("checking");
    await page.getByText("No service matches").waitFor({ timeout: 120_000 });
    await page.getByLabel("State").selectOption("");
    await delay(1_000);
    const before = cpuSeconds(server.pid);
    await delay(OPEN_MS);
    const share = (cpuSeconds(server.pid) - before) / (OPEN_MS / 1000);
    const settled = await used(browser, page);
    await page.close();
    return { share, loadMs, judging, settled };
  } finally {
    server.kill();
  }
}

interface MeasuredExport {
  readonly shownMs: number;
  readonly packetMs: number;
  readonly taskMs: number;
}

/** What somebody feels who opens an exported page, and asks for a packet as soon as it is shown. */
async function measureExport(count: number, browser: Browser): Promise<MeasuredExport> {
  const [topology, html] = [join(folder, `${count}.json`), join(folder, `${count}.html`)];
  const args = [topology, "--host", HOST.name, "--rules", `${topology}.rules`, "-o", html];
  spawnSync(process.execPath, [program, "view", ...args]);
  const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
  await browser.startTracing(page, { categories: ["toplevel"] });
  const startedAt = performance.now();
  await page.goto(`file://${html}`);
  await page.getByText(`${count.toLocaleString("en-US")} services`).waitFor({ timeout: 120_000 });
  const shownAt = performance.now();
  await page.goto(`file://${html}#/packet?host=${HOST.name}&from=10.5.75.9&to=10.96.0.1&port=80&protocol=tcp`);
  await page.locator(".verdict").waitFor({ timeout: 120_000 });
  const followedAt = performance.now();
  const taskMs = longestTask(await browser.stopTracing());
  await page.close();
  return { shownMs: shownAt - startedAt, packetMs: followedAt - shownAt, taskMs };
}

async function used(browser: Browser, page: Page): Promise<Used> {
  await browser.startTracing(page, { categories: ["toplevel"] });
  const frameMs = await page.evaluate(useIt, SCROLLS);
  return { frameMs, taskMs: longestTask(await browser.stopTracing()) };
}

/** CPU time, in milliseconds, of the longest task of a page's main thread. */
function longestTask(trace: Buffer): number {
  const { traceEvents }: { traceEvents: readonly TraceEvent[] } = JSON.parse(trace.toString());
  const isMain = (event: TraceEvent) => event.name === "thread_name" && event.args?.name === "CrRendererMain";
  const threads = new Set(traceEvents.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(({ name, pid, tid }) => name.endsWith("RunTask") && threads.has(`${pid} ${tid}`));
  return Math.max(0, ...tasks.map(({ tdur = 0 }) => tdur)) / 1000;
}

/** @see https://chromium.googlesource.com/catapult: the format of trace events */
interface TraceEvent {
  readonly name: string;
  readonly pid: number;
  readonly tid: number;
  /** CPU time in microseconds. */
  readonly tdur?: number;
  readonly args?: { readonly name?: string };
}

/** Scrolls through all and types into the search, and tells the longest time between two frames. Runs in the page. */
async function useIt(scrolls: number): Promise<number> {
  const nextFrame = () => new Promise<number>((done) => requestAnimationFrame(done));
  const rows = document.querySelector(".rows");
  const search = document.querySelector("input");
  if (rows === null || search === null) throw new Error("the page has no services");
  let longest = 0;
  let last = await nextFrame();
  const frame = async () => {
    const now = await nextFrame();
    longest = Math.max(longest, now - last);
    last = now;
  };
  for (let step = 0; step < scrolls; step++) {
    rows.scrollTo(0, (rows.scrollHeight * step) / scrolls);
    await frame();
  }
  for (const text of ["s", "se", "service-1", "service-12", "10.96", ""]) {
    search.value = text;
    search.dispatchEvent(new Event("input", { bubbles: true }));
    for (let step = 0; step < 5; step++) await frame();
  }
  return longest;
}

/** As iptables-save prints what this host is to have. */
function writeRules(topology: string): string {
  const { stdout } = spawnSync(
    process.execPath,
    [program, "iptables", topology, "--host", HOST.name, "--format", "restore", "--family", "4"],
    { maxBuffer: 1 << 28 },
  );
  const file = `${topology}.rules`;
  writeFileSync(file, `# Generated by iptables-save\n${stdout}`);
  return file;
}
