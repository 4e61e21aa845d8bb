import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import process from "node:process";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { type Browser, chromium } from "playwright-core";

/**
 * What an open page costs. For the server: its part of a core while a page is open (target: 5 %). For the browser: the longest frame
 * while somebody scrolls and types, of many services over that of two in the same run.
 *
 *     pnpm --filter svcproxy build && pnpm --filter @svcproxy/page bench        (SERVICES=10000)
 */
const SERVICES = Number(process.env["SERVICES"] ?? 10_000);
const OPEN_MS = 10_000;
/** Ticks of a clock by which Linux tells CPU time. */
const TICKS_PER_SECOND = 100;
const SCROLLS = 60;

const program = resolve(import.meta.dirname, "../../cli/bin/svcproxy.cjs");
const folder = mkdtempSync(join(tmpdir(), "svcproxy-bench-"));
const browser = await chromium.launch({ executablePath: "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const few = await measure(2, browser);
  const many = await measure(SERVICES, browser);
  const row = (name: string, { share, longestMs, loadMs }: Measured) =>
    `${name.padEnd(18)} ${(share * 100).toFixed(2).padStart(7)} % ${longestMs.toFixed(0).padStart(9)} ms ${loadMs.toFixed(0).padStart(9)} ms`;
  process.stdout.write(
    [
      "                    server  longest frame  until shown",
      row("2 services", few),
      row(`${SERVICES} services`, many),
      `longest frame over that of 2 services: ${(many.longestMs / few.longestMs).toFixed(2)}`,
      `server's part of a core: ${(many.share / 0.05).toFixed(2)} of 5 %`,
      "",
    ].join("\n"),
  );
} finally {
  await browser.close();
  rmSync(folder, { recursive: true });
}

interface Measured {
  readonly share: number;
  readonly longestMs: number;
  readonly loadMs: number;
}

async function measure(count: number, browser: Browser): Promise<Measured> {
  const server = spawn(process.execPath, [program, "view", writeTopology(count), "--host", "web1"], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  try {
    const [url] = await once(createInterface({ input: server.stdout }), "line");
    const page = await browser.newPage({ viewport: { width: 1300, height: 850 } });
    const startedAt = performance.now();
    await page.goto(String(url));
    await page.getByText(`${count.toLocaleString("en-US")} services`).waitFor();
    const loadMs = performance.now() - startedAt;
    await delay(1_000);
    const before = cpuSeconds(server.pid);
    await delay(OPEN_MS);
    const share = (cpuSeconds(server.pid) - before) / (OPEN_MS / 1000);
    const longestMs = await page.evaluate(useIt, SCROLLS);
    await page.close();
    return { share, longestMs, loadMs };
  } finally {
    server.kill();
  }
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

function cpuSeconds(pid: number | undefined): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND;
}

function writeTopology(count: number): string {
  const file = join(folder, `${count}.json`);
  const services = Array.from({ length: count }, (_, index) => ({
    name: `service-${index}`,
    namespace: `team-${index % 50}`,
    clusterIP: `10.96.${index >> 8}.${index & 255}`,
    ports: [{ port: 80 }],
    endpoints: [0, 1, 2].map((part) => `10.${128 + part}.${index >> 8}.${index & 255}:8080`),
  }));
  writeFileSync(
    file,
    JSON.stringify({ hosts: [{ name: "web1", address: "192.0.2.1", podCIDR: "10.5.75.0/24" }], services }),
  );
  return file;
}
