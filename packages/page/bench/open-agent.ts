import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { chromium, type Page } from "playwright-core";
import { cpuSeconds } from "./cpu-time.ts";
import { HOST, writeTopology } from "./large-topology.ts";

/**
 * What a page costs that shows a running agent, in a network namespace of its own with nftables: the part of a core that the agent and
 * `svcproxy view` use together (at most 5 %), all that the agent does besides among it, while all services are looked at and while one
 * is, once new connections were counted for the first time; and how often they are counted, as the page says it.
 *
 *     pnpm --filter svcproxy build && node bench/open-agent.ts        (root; SERVICES=10000 SECONDS=40)
 */
const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const SECONDS = Number(process.env["SECONDS"] ?? 40);
const MOST_PERCENT = 5;
const INSIDE = "inside";

const program = resolve(import.meta.dirname, "../../cli/bin/svcproxy.cjs");

if (process.argv[2] === INSIDE) await measure();
else if (process.getuid?.() !== 0) say("an open page of a running agent: not measured, which takes root");
else {
  const own = [process.execPath, ...process.execArgv, ...process.argv.slice(1), INSIDE];
  const { status } = spawnSync("unshare", ["--net", "--kill-child", ...own], { stdio: "inherit" });
  process.exitCode = status ?? 1;
}

async function measure(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
  process.env["RUNTIME_DIRECTORY"] = join(folder, "run");
  process.env["XDG_CACHE_HOME"] = join(folder, "cache");
  mkdirSync(join(folder, "run"), { mode: 0o700 });
  for (const args of ["link set lo up", `address add ${HOST.address}/32 dev lo`, "route add 10.0.0.0/8 dev lo"])
    execFileSync("ip", args.split(" "));
  const topology = join(folder, "topology.json");
  writeTopology(topology, SERVICES);
  const none = ["--healthz-bind-address", "none", "--metrics-bind-address", "none"];
  const agent = start(["run", topology, "--host", HOST.name, "--data-path", "nftables", ...none]);
  const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
  try {
    await untilInForce();
    const usedBefore = usedBy([agent]);
    const view = start(["view", "--agent"]);
    const [url] = await once(createInterface({ input: view.stdout ?? process.stdin }), "line");
    const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
    await page.goto(String(url));
    await page.getByText(`${SERVICES.toLocaleString("en-US")} services`).waitFor();
    const shownSeconds = usedBy([agent, view]) - usedBefore;
    await intervalOn(page);
    const all = await percentOf([agent, view]);
    const everyAll = await intervalOn(page);
    await page.goto(`${url}#/service?id=team-1/service-1`);
    await page.getByRole("heading", { name: "Who answers" }).waitFor();
    const one = await percentOf([agent, view]);
    await page.goto(`${url}#/`);
    const everyOne = await intervalOn(page);
    say(`${SERVICES} services kept by an agent; CPU of it and of svcproxy view together, ${SECONDS} s each:`);
    say(`  until a page is shown: ${shownSeconds.toFixed(1)} s, once`);
    say(`  a page of all of them: ${share(all)}; ${everyAll}`);
    say(`  a page of one of them: ${share(one)}; ${everyOne}`);
  } finally {
    await browser.close();
    agent.kill();
    await once(agent, "exit");
    rmSync(folder, { recursive: true });
  }
}

function share(percent: number): string {
  return `${percent.toFixed(2)} % of a core, ${(percent / MOST_PERCENT).toFixed(2)} of the ${MOST_PERCENT} % that it may cost`;
}

function start(args: readonly string[]): ChildProcess {
  const child = spawn(process.execPath, [program, ...args], { stdio: ["ignore", "pipe", "ignore"] });
  process.on("exit", () => child.kill());
  return child;
}

async function untilInForce(): Promise<void> {
  const until = performance.now() + 120_000;
  for (;;) {
    const { stdout } = spawnSync(process.execPath, [program, "status", "--json"], {
      encoding: "utf8",
      maxBuffer: 1 << 28,
    });
    if (/"state": "in-force"/.test(stdout)) return;
    if (performance.now() > until) throw new Error("the agent does not serve");
    await sleep(500);
  }
}

async function percentOf(processes: readonly ChildProcess[]): Promise<number> {
  const [cpu, startMs] = [usedBy(processes), performance.now()];
  await sleep(SECONDS * 1_000);
  return (100_000 * (usedBy(processes) - cpu)) / (performance.now() - startMs);
}

/** In seconds. */
function usedBy(processes: readonly ChildProcess[]): number {
  return processes.reduce((sum, { pid }) => sum + cpuSeconds(pid), 0);
}

async function intervalOn(page: Page): Promise<string> {
  const words = await page.getByText(/New connections are counted/).textContent({ timeout: 120_000 });
  return `"${words?.trim()}"`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
