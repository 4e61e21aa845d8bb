import { existsSync } from "node:fs";
import process from "node:process";
import { type Browser, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, onTestFinished } from "vitest";

/** Debian's, which the tests install, or what people have. */
const PROGRAMS = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"];

/** Why there are no tests in a browser; undefined: there are. In CI there have to be. */
export function whyNoBrowser(): string | undefined {
  if (programOf() !== undefined || process.env["CI"] === "true") return undefined;
  return `no browser here: apt-get install chromium`;
}

function programOf(): string | undefined {
  return PROGRAMS.find((path) => existsSync(path));
}

let browser: Promise<Browser> | undefined;

afterAll(async () => {
  const opened = await browser;
  browser = undefined;
  await opened?.close();
});

/** A window, and what went wrong in it: what the page logs, and what it asks of others than its own server. */
export async function openWindow(options: BrowserContextOptions = {}): Promise<{ page: Page; faults: string[] }> {
  const executablePath = programOf();
  if (executablePath === undefined) throw new Error("There is no browser: apt-get install chromium");
  browser ??= chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await (await browser).newContext({ viewport: { width: 1300, height: 850 }, ...options });
  onTestFinished(() => context.close());
  const page = await context.newPage();
  const faults: string[] = [];
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error" || message.type() === "warning") faults.push(message.text());
  });
  page.on("request", (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (protocol.startsWith("http") && hostname !== "127.0.0.1") faults.push(`asked ${request.url()}`);
  });
  return { page, faults };
}
