import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import type { Page } from "playwright-core";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import type { Viewed } from "./engine/viewed.ts";
import type { FollowedSource } from "./followed-data.ts";
import { openWindow, whyNoBrowser } from "./testing/browser.ts";
import { exampleViewed, FIREWALL, largeViewed } from "./testing/example-viewed.ts";
import { changing, PACKET, seriousFindings, serve } from "./testing/opened-page.ts";

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
    await row.waitFor();
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
});
