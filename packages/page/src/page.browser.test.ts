import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import axe from "axe-core";
import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Viewed } from "./engine/viewed.ts";
import { FollowedData, type FollowedSource } from "./followed-data.ts";
import { exportedPage } from "./server/page-html.ts";
import { servePage } from "./server/serve-page.ts";
import { openWindow, whyNoBrowser } from "./testing/browser.ts";
import { exampleHost, exampleViewed, FIREWALL, largeViewed, viewedOf } from "./testing/example-viewed.ts";
import { shopViewed } from "./testing/shop-viewed.ts";

/** Reads what is put into `viewed`; where that is a sentence, reading fails with it. */
function changing(first: Viewed): FollowedSource<Viewed> & { viewed: Viewed | string } {
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

async function serve(source: FollowedSource<Viewed>) {
  const page = await servePage(await FollowedData.open(source), {
    onError: (error) => {
      throw error;
    },
  });
  onTestFinished(() => page.close());
  return page;
}

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

/** What a page is told by server-sent events. */
async function eventsSentTo(page: Page): Promise<readonly { readonly kind: string; readonly bytes: number }[]> {
  const sent: { kind: string; bytes: number }[] = [];
  const session = await page.context().newCDPSession(page);
  await session.send("Network.enable");
  session.on("Network.eventSourceMessageReceived", ({ data }) =>
    sent.push({ kind: String(JSON.parse(data).kind), bytes: data.length }),
  );
  return sent;
}

/** Another way to a served page, which can be cut. */
async function cuttableWay(url: string) {
  const { port, pathname } = new URL(url);
  const open = new Set<Socket>();
  let isCut = false;
  const server = createServer((socket) => {
    if (isCut) return socket.destroy();
    const onward = connect(Number(port), "127.0.0.1");
    for (const end of [socket, onward]) {
      open.add(end);
      end.on("error", () => {}).on("close", () => open.delete(end));
    }
    return socket.pipe(onward).pipe(socket);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("it has no port");
  const cut = () => {
    isCut = true;
    for (const end of open) end.destroy();
  };
  onTestFinished(() => {
    cut();
    server.close();
  });
  const mend = () => {
    isCut = false;
  };
  return { url: `http://127.0.0.1:${address.port}${pathname}`, cut, mend };
}

async function exported(viewed: Viewed): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "svcproxy-page-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "page.html");
  writeFileSync(file, exportedPage(viewed));
  return `file://${file}`;
}

/** What a screen reader would stumble over, the serious of it. */
async function seriousFindings(page: Page): Promise<readonly string[]> {
  // The page lets no foreign script in, and is right; this one is let in by the browser's own door.
  const found = await page.evaluate(`${axe.source}; axe.run(document, { resultTypes: ["violations"] })`);
  const { violations } = found as { violations: { impact: string; id: string; nodes: { html: string }[] }[] };
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(" ")}`);
}

const PACKET = "#/packet?host=cloudos1&from=10.5.75.2&to=10.100.100.2&port=6060&protocol=tcp";

describe.skipIf(whyNoBrowser() !== undefined)(`in a browser${whyNoBrowser() ?? ""}`, () => {
  test("services are listed with their state; a failed one comes first, and leads to why", async () => {
    const { page, faults } = await openWindow();
    await page.goto((await serve(changing(exampleViewed({ extra: FIREWALL })))).url);
    await page.locator(".state.failed").first().waitFor();
    expect(await page.locator("tbody tr:not(.space) td:first-child").allTextContents()).toEqual([
      "service2",
      "service1",
    ]);
    const problems = page.getByRole("region", { name: "1 problem" });
    await problems.getByText("cloudos1 Not served as planned: dropped: rule 1 of filter FORWARD").waitFor();
    await problems.getByText("To mend it: svcproxy doctor on cloudos1").waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    await page.getByRole("link", { name: "service2", exact: true }).click();
    await page.getByText("From a pod to 10.100.100.2:6060: dropped").waitFor();
    const row = page.getByRole("row", { name: "nat KUBE-SVC-2 1 -p tcp -m statistic" });
    expect(await row.getByRole("cell").allTextContents()).toEqual([
      "1",
      "-p tcp -m statistic --mode random --probability 0.50000000000 -j DNAT --to-destination 10.5.75.3:3000",
      "3",
      "180",
    ]);
    expect(await seriousFindings(page)).toEqual([]);
    expect(faults).toEqual([]);
  });

  test("a line of a service leads to the packet's way; where it dies is told first, and a link restores it", async () => {
    const { page, faults } = await openWindow({ colorScheme: "dark" });
    const { url } = await serve(changing(exampleViewed({ extra: FIREWALL })));
    await page.goto(`${url}#/service?id=default/service2`);
    await page.locator("svg.service a.line").first().focus();
    await page.keyboard.press("Enter");
    await page.getByRole("alert").getByText("50 %: dropped").waitFor();
    expect(await page.evaluate(() => document.activeElement?.id)).toBe("main");
    expect(new URL(page.url()).hash).toBe(PACKET);
    expect(await page.locator("svg.trace .end.dropped").count()).toBe(1);
    expect(await page.locator("svg.trace .end.accepted").count()).toBe(1);
    expect(await seriousFindings(page)).toEqual([]);
    const other = await openWindow();
    await other.page.goto(page.url());
    await other.page.getByRole("alert").getByText("50 %: dropped").waitFor();
    expect(faults).toEqual([]);
  });

  test("a packet that cannot be is told in a sentence, and the form takes another", async () => {
    const { page } = await openWindow();
    await page.goto(`${(await serve(changing(exampleViewed()))).url}#/packet`);
    await page.getByLabel("From").fill("10.5.75.300");
    await page.getByLabel("To", { exact: true }).fill("10.100.100.1:7070");
    await page.getByRole("button", { name: "Follow it" }).click();
    await page.getByText('"10.5.75.300" is not an IP address').waitFor();
    await page.getByLabel("From").fill("10.5.75.2");
    await page.getByRole("button", { name: "Follow it" }).click();
    await page.getByText("It arrives at one of 2 places, and the answer comes back").waitFor();
  });

  test("the page follows its source, says when that is gone, and when it is back", async () => {
    const { page } = await openWindow();
    const source = changing(exampleViewed());
    await page.goto((await serve(source)).url);
    await page.getByText("2 services").waitFor();
    const { topology } = exampleViewed();
    source.viewed = { ...exampleViewed(), topology: { ...topology, services: topology.services.slice(0, 1) } };
    await page.getByText("1 service", { exact: true }).waitFor();
    source.viewed = "web.yaml:3:1: it is broken";
    await page.getByText("web.yaml:3:1: it is broken").waitFor();
    await page.getByRole("link", { name: "service1" }).waitFor();
    source.viewed = exampleViewed();
    await page.getByText("2 services").waitFor();
    await page.getByText("it is broken").waitFor({ state: "detached" });
  });

  test("of ten thousand services the one that changed is sent; who was cut off meanwhile is sent all of them, once", async () => {
    const { page, faults } = await openWindow();
    const sent = await eventsSentTo(page);
    const viewed = largeViewed(10_000);
    const { topology } = viewed;
    const source = changing(viewed);
    const way = await cuttableWay((await serve(source)).url);
    await page.goto(way.url);
    await page.getByText("10,000 services").waitFor();
    await page.getByLabel("Search").fill("service-9999");
    await page.getByRole("link", { name: "service-9999" }).waitFor();
    const rename = (name: string) => {
      const services = topology.services.map((one) => (one.name === "service-9999" ? { ...one, name } : one));
      source.viewed = { ...viewed, takenAt: new Date().toISOString(), topology: { ...topology, services } };
    };
    rename("service-9999-a");
    await page.getByRole("link", { name: "service-9999-a" }).waitFor();
    expect(sent.map(({ kind }) => kind)).toEqual(["fresh", "changed"]);
    expect(sent[1]?.bytes).toBeLessThan(2_000);
    expect(faults).toEqual([]);
    way.cut();
    await page.getByText("svcproxy view does not answer").waitFor();
    rename("service-9999-b");
    way.mend();
    await page.getByRole("link", { name: "service-9999-b" }).waitFor();
    await page.getByText("svcproxy view does not answer").waitFor({ state: "detached" });
    expect(sent.map(({ kind }) => kind).filter((kind) => kind === "state")).toHaveLength(1);
    await page.getByText("1 of 10,000 services").waitFor();
  });

  test("new connections are counted while a page is open, and not when none is", async () => {
    const { page } = await openWindow();
    let reads = 0;
    const source: FollowedSource<Viewed> = {
      ...changing(exampleViewed()),
      signature: async () => "same",
      counts: async () => {
        reads += 1;
        return { host: "cloudos1", readAtMs: Date.now(), totals: new Map([["default/service1", reads * 1000]]) };
      },
    };
    const server = await serve(source);
    await page.goto(server.url);
    await page.getByText(/New connections are counted every [\d.]+ s/).waitFor();
    expect(Number((await page.locator(".rate").first().textContent())?.replaceAll(",", ""))).toBeGreaterThan(0);
    await page.close();
    await vi.waitFor(async () => {
      const before = reads;
      await new Promise((resolve) => setTimeout(resolve, 2_500));
      expect(reads).toBe(before);
    });
  });

  test("who is connected is shown with its endpoint, and on the line that leads there", async () => {
    const { page } = await openWindow();
    const connections: FollowedSource<Viewed>["connections"] = async (_viewed, { host, id }) => ({
      ...{ host, service: id, takenAt: "2026-01-02T03:04:05.000Z", untold: 4 },
      live: [{ frontend: "10.100.100.1:7070", endpoint: "10.5.88.2:3000", protocol: "tcp", count: 5 }],
      connections: [
        {
          ...{ client: "10.5.75.3:40000", frontend: "10.100.100.1:7070", endpoint: "10.5.88.2:3000" },
          ...{ protocol: "tcp", state: "established", bytes: 1234, ageSeconds: 9 },
        },
      ],
    });
    const { url } = await serve({ ...changing(exampleViewed()), connections });
    await page.goto(`${url}#/service?id=default/service1`);
    await page.getByText("5 connections now").waitFor();
    await page.getByText("50 % · 5 live", { exact: true }).waitFor();
    expect(await page.getByRole("row", { name: /10\.5\.75\.3:40000 os1_my2/ }).count()).toBe(1);
    expect(await seriousFindings(page)).toEqual([]);
  });

  test("several hosts stand side by side, and what differs comes first", async () => {
    const { page } = await openWindow();
    const viewed = {
      ...exampleViewed(),
      hosts: [exampleHost("cloudos1"), exampleHost("cloudos2", { extra: FIREWALL })],
    };
    await page.goto(await exported(viewed));
    await page.locator(".state.failed").first().waitFor();
    expect(await page.locator("thead th").allTextContents()).toEqual([
      ...["Service", "Addresses", "Endpoints", "cloudos1", "cloudos2"],
    ]);
    expect(await page.locator("tbody tr:not(.space) td:first-child").allTextContents()).toEqual([
      "service2",
      "service1",
    ]);
  });

  test("the rules of several hosts stand side by side for a service, those that differ first", async () => {
    const { page } = await openWindow({ viewport: { width: 900, height: 900 } });
    const viewed = {
      ...exampleViewed(),
      hosts: [exampleHost("cloudos1"), exampleHost("cloudos2", { extra: FIREWALL })],
    };
    await page.goto(`${await exported(viewed)}#/service?id=default/service2`);
    const table = page.getByRole("region", { name: /rules$/ }).getByRole("table");
    await table.waitFor();
    const [head, first, second, ...others] = await table.getByRole("row").allTextContents();
    expect(head).toBe("ChainRulecloudos1cloudos2");
    expect(first).toBe("filter FORWARD-d 10.5.75.3/32 -j DROP✕ not here● rule 1, 7 packets");
    expect(second).toMatch(/^filter OUTPUT/);
    expect(others).toContain(
      "nat KUBE-SERVICES-d 10.100.100.2/32 -p tcp -m tcp --dport 6060 -j KUBE-SVC-2● rule 2, 6 packets● rule 2, 6 packets",
    );
    expect(others.every((row) => !row.includes("not here"))).toBe(true);
    expect(await seriousFindings(page)).toEqual([]);
  });

  test("an exported page shows all of it from disk, and asks nobody", async () => {
    const { page, faults } = await openWindow({ offline: true });
    const file = await exported(exampleViewed({ extra: FIREWALL }));
    await page.goto(file);
    await page.locator(".state.failed").first().waitFor();
    await page.goto(`${file}${PACKET}`);
    await page.getByRole("alert").getByText("50 %: dropped").waitFor();
    expect(await seriousFindings(page)).toEqual([]);
    // Rules are worked out apart, so that the page answers meanwhile.
    expect(page.workers()).toHaveLength(1);
    expect(faults).toEqual([]);
  });

  test("an exported page works without a worker where a browser lets it have none", async () => {
    const { page, faults } = await openWindow();
    await page.addInitScript("globalThis.Worker = class { constructor() { throw new Error('none') } }");
    await page.goto(`${await exported(exampleViewed({ extra: FIREWALL }))}${PACKET}`);
    await page.getByRole("alert").getByText("50 %: dropped").waitFor();
    expect(page.workers()).toHaveLength(0);
    expect(faults).toEqual([]);
  });

  test("an exported page that was cut off says so", async () => {
    const { page } = await openWindow();
    const folder = mkdtempSync(join(tmpdir(), "svcproxy-page-"));
    onTestFinished(() => rmSync(folder, { recursive: true }));
    const html = exportedPage(exampleViewed());
    writeFileSync(join(folder, "page.html"), html.replace(/id="viewed">.{40}/, 'id="viewed">'));
    await page.goto(`file://${folder}/page.html`);
    await page.getByText("Export it again").waitFor();
  });

  test("nothing of a name is markup, and what turns text around is shown", async () => {
    const { page, faults } = await openWindow();
    const evil = '<img src=x onerror=alert(1)>\u202e"';
    const viewed = viewedOf([
      { name: "web", id: "1", clusterIP: "10.96.0.1", ports: [{ name: "p", port: 80 }], endpoints: ["10.9.9.9:80"] },
    ]);
    const [service] = viewed.topology.services;
    if (service === undefined) throw new Error("no service");
    const named = { ...viewed, source: evil, topology: { ...viewed.topology, services: [{ ...service, name: evil }] } };
    await page.goto(await exported(named));
    await page.getByRole("link", { name: "img src=x" }).click();
    await page.getByRole("heading", { level: 1 }).waitFor();
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.getByRole("heading", { level: 1 }).textContent()).toContain("<img src=x");
    for (const hash of ["#/", `#/service?id=${encodeURIComponent(`default/${evil}`)}`, "#/packet"]) {
      await page.goto(page.url().replace(/#.*/, hash));
      await page.getByRole("heading", { level: 1 }).waitFor();
      expect((await page.locator("header, main").allTextContents()).join(" ")).not.toContain("\u202e");
    }
    expect(faults).toEqual([]);
  });

  test("ten thousand services are found by name, address, port and namespace", async () => {
    const { page, faults } = await openWindow();
    await page.goto((await serve(changing(largeViewed(10_000)))).url);
    await page.getByText("10,000 services").waitFor();
    expect(await page.locator("tbody tr").count()).toBeLessThan(100);
    await page.getByLabel("Search").fill("10.96.39.15:80");
    await page.getByText("1 of 10,000 services").waitFor();
    await page.getByRole("link", { name: "service-9999" }).waitFor();
    await page.getByLabel("Search").fill("");
    await page.getByLabel("Namespace").selectOption("team-7");
    await page.getByText("200 of 10,000 services").waitFor();
    await page.getByLabel("Namespace").selectOption("");
    await page.locator(".rows").evaluate((rows) => rows.scrollTo(0, 1e9));
    await page.getByRole("link", { name: "service-9999" }).waitFor();
    expect(faults).toEqual([]);
  });

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
      }
    }
    expect(faults).toEqual([]);
  });
});
