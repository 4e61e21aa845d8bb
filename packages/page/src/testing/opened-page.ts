import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { onTestFinished } from "vitest";
import type { Viewed } from "../engine/viewed.ts";
import { FollowedData, type FollowedSource } from "../followed-data.ts";
import { exportedPage } from "../server/page-html.ts";
import { servePage } from "../server/serve-page.ts";

/** Reads what is put into `viewed`; where that is a sentence, reading fails with it. */
export function changing(first: Viewed): FollowedSource<Viewed> & { viewed: Viewed | string } {
  let seen: Viewed | string = first;
  let version = 0;
  return {
    viewed: first,
    whole: async (viewed) => viewed,
    async signature() {
      if (seen !== this.viewed) version++;
      seen = this.viewed;
      return String(version);
    },
    async read() {
      if (typeof this.viewed === "string") throw new Error(this.viewed);
      return this.viewed;
    },
  };
}

/** Serves what a source has until the test ends. */
export async function serve(source: FollowedSource<Viewed>) {
  const page = await servePage(await FollowedData.open(source), {
    onError: (error) => {
      throw error;
    },
  });
  onTestFinished(() => page.close());
  return page;
}

/** Exports a page. @returns its address on disk */
export async function exported(viewed: Viewed): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-page-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "page.html");
  writeFileSync(file, exportedPage(viewed));
  return `file://${file}`;
}

/** What a screen reader would stumble over, the serious of it. */
export async function seriousFindings(page: Page): Promise<readonly string[]> {
  // The page lets no foreign script in, and is right; this one is let in by the browser's own door.
  const found = await page.evaluate(`${axe.source}; axe.run(document, { resultTypes: ["violations"] })`);
  const { violations } = found as { violations: { impact: string; id: string; nodes: { html: string }[] }[] };
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

/** The place in a page of a packet of which a firewall drops half. */
export const PACKET = "#/packet?host=cloudos1&from=10.5.75.2&to=10.100.100.2&port=6060&protocol=tcp";
