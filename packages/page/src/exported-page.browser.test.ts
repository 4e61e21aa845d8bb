import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { exportedPage } from "./server/page-html.ts";
import { openWindow, whyNoBrowser } from "./testing/browser.ts";
import { exampleHost, exampleViewed, FIREWALL, largeViewed, viewedOf } from "./testing/example-viewed.ts";
import { exported, PACKET, seriousFindings } from "./testing/opened-page.ts";

describe.skipIf(whyNoBrowser() !== undefined)(`an exported page in a browser${whyNoBrowser() ?? ""}`, () => {
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

  test("no services, an answer that may be lost elsewhere, and an endpoint without a name are told as they are", async () => {
    const { page } = await openWindow();
    await page.goto(await exported(viewedOf([])));
    await page.getByText("There are no services in what was read.").waitFor();
    const web = { name: "web", clusterIP: "10.96.0.1", ports: [{ port: 80 }], endpoints: ["10.9.9.9:80"] };
    const file = await exported(viewedOf([web]));
    await page.goto(`${file}#/service?id=default/web`);
    await page.getByRole("listitem").getByText("10.9.9.9:80").waitFor();
    expect(await page.getByRole("listitem").textContent()).toBe("10.9.9.9:80  on no host of the topology ready");
    await page.goto(`${file}#/packet?host=cloudos1&from=10.5.75.9&to=10.9.9.9&port=80&protocol=tcp`);
    await page.locator(".verdict.doubt").getByText("It arrives. Of the answer it comes back if 10.9.9.9").waitFor();
    expect(await seriousFindings(page)).toEqual([]);
  });

  test("what is printed is all of it, not what fits the window", async () => {
    const { page } = await openWindow({ viewport: { width: 900, height: 500 } });
    await page.goto(`${await exported(exampleViewed({ extra: FIREWALL }))}#/service?id=default/service2`);
    await page.locator(".carried").waitFor();
    const height = () => page.evaluate(() => document.body.getBoundingClientRect().height);
    expect(await height()).toBe(500);
    await page.emulateMedia({ media: "print" });
    expect(await height()).toBeGreaterThan(700);
    expect(await page.getByRole("navigation").isVisible()).toBe(false);
    await page.goto(await exported(largeViewed(2_000)));
    await page.getByText("2,000 services").waitFor({ state: "attached" });
    expect(await height()).toBeLessThan(10_000);
  });
});
