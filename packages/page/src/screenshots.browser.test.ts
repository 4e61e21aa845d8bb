import { join } from "node:path";
import { describe, expect, test } from "vitest";
import type { Viewed } from "./engine/viewed.ts";
import type { FollowedSource } from "./followed-data.ts";
import { openWindow, whyNoBrowser } from "./testing/browser.ts";
import { exampleHost, exampleViewed, FIREWALL } from "./testing/example-viewed.ts";
import { changing, exported, PACKET, seriousFindings, serve } from "./testing/opened-page.ts";
import { shopViewed } from "./testing/shop-viewed.ts";

/** An agent whose services have clients. */
function livelySource(): FollowedSource<Viewed> {
  let reads = 0;
  const ways = ["10.5.75.2:3000", "10.5.76.2:3000"] as const;
  const frontend = "10.100.0.1:80";
  return {
    ...changing(shopViewed(["edge2"])),
    counts: async () => {
      reads += 1;
      const rates = { "shop/checkout": 212.5, "shop/basket": 48, "shop/db": 3.2, "kube-system/dns": 1804 };
      const totals = Object.entries(rates).map(([id, rate]) => [id, rate * 5 * reads] as const);
      return { host: "edge2", readAtMs: reads * 5_000, totals: new Map(totals) };
    },
    connections: async (_viewed, { host, id }) => ({
      ...{ host, service: id, takenAt: "2026-01-02T03:04:05.000Z", untold: 0 },
      live: ways.map((endpoint, index) => ({ frontend, endpoint, protocol: "tcp", count: 3 - index })),
      connections: [0, 1, 2, 3, 4].map((index) => ({
        ...{ client: index < 2 ? `10.5.76.3:${40_100 + index}` : `198.51.100.${index}:${51_000 + index * 7}` },
        ...{ frontend, endpoint: ways[index % 2] ?? ways[0], protocol: "tcp", state: "established" },
        ...{ bytes: 1_234_567 * (index + 1), ageSeconds: 40 + index * 700 },
      })),
    }),
  };
}

describe.skipIf(whyNoBrowser() !== undefined)(`how it looks in a browser${whyNoBrowser() ?? ""}`, () => {
  test.for(["light", "dark"] as const)("screenshots of every view in %s, wide and narrow", async (colorScheme) => {
    const { page, faults } = await openWindow({ colorScheme });
    const cloudos = exampleViewed({ extra: FIREWALL });
    const sides = { ...cloudos, hosts: [exampleHost("cloudos1"), exampleHost("cloudos2", { extra: FIREWALL })] };
    const agent = await serve(livelySource());
    const views = [
      { name: "overview", url: agent.url, shows: ".rate:not(.quiet)" },
      { name: "agent", url: `${agent.url}#/service?id=shop/checkout`, shows: "#connected" },
      { name: "hosts", url: await exported(shopViewed(["edge1", "edge2", "edge3"])), shows: ".state.failed" },
      { name: "service", url: `${await exported(sides)}#/service?id=default/service2`, shows: ".carried" },
      { name: "packet", url: `${await exported(cloudos)}${PACKET}`, shows: ".verdict.bad" },
    ];
    for (const { name, url, shows } of views) {
      for (const [size, width] of [
        ["wide", 1200],
        ["narrow", 900],
      ] as const) {
        await page.setViewportSize({ width, height: 760 });
        if (size === "wide") await page.goto(url);
        await page.locator(shows).first().waitFor();
        // Nothing is wider than the window but what scrolls by itself.
        expect(await page.evaluate(() => document.documentElement.scrollWidth), name).toBeLessThanOrEqual(width);
        await page.screenshot({ path: join(import.meta.dirname, `../reports/${name}-${colorScheme}-${size}.png`) });
        // In light, the tests of what it does look.
        if (size === "wide" && colorScheme === "dark") expect(await seriousFindings(page), name).toEqual([]);
      }
    }
    expect(faults).toEqual([]);
  });
});
