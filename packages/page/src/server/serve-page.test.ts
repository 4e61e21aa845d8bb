import { connect } from "node:net";
import { expect, onTestFinished, test, vi } from "vitest";
import { LocalData } from "../engine/local-data.ts";
import type { PageData, PageEvent } from "../model.ts";
import { exampleViewed } from "../testing/example-viewed.ts";
import { servePage } from "./serve-page.ts";

async function served() {
  const errors: unknown[] = [];
  const page = await servePage(new LocalData(exampleViewed()), { onError: (error) => errors.push(error) });
  onTestFinished(() => page.close());
  const url = new URL(page.url);
  /** As any program may ask, whatever Host it names. */
  const ask = (path: string, { host = url.host, method = "GET", more = "" } = {}) =>
    new Promise<string>((resolve, reject) => {
      const socket = connect(Number(url.port), "127.0.0.1");
      let text = "";
      socket.setEncoding("utf8").on("data", (part) => {
        text += String(part);
      });
      socket.on("error", reject).on("close", () => resolve(text));
      socket.write(`${method} ${path} HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n${more}\r\n`);
    });
  return { page, url, ask, errors };
}

test("the page comes with a policy that lets nothing else in", async () => {
  const { url, ask } = await served();
  const text = await ask(url.pathname);
  expect(text).toContain("200 OK");
  const policy = /content-security-policy: (.*)\r/.exec(text)?.[1] ?? "";
  expect(policy).toContain("default-src 'none'");
  expect(policy).toMatch(/script-src 'sha256-[^']+'/);
  expect(policy).toContain("frame-ancestors 'none'");
  expect(policy).not.toContain("unsafe");
  expect(text).not.toMatch(/(src|href)="https?:/);
});

test.for([
  { name: "without the token", path: "/", code: 403 },
  { name: "with another token", path: "/xxxxxxxxxxxxxxxxxxxxxxxx/state", code: 403 },
  { name: "for what is not there", path: "TOKEN/nothing", code: 404 },
  { name: "under another name", path: "TOKEN/state", host: "evil.example:80", code: 421 },
  { name: "without a name", path: "TOKEN/state", host: "", code: 421 },
  { name: "from another site", path: "TOKEN/state", more: "sec-fetch-site: cross-site\r\n", code: 403 },
  { name: "to change something", path: "TOKEN/state", method: "POST", code: 405 },
  { name: "for a host that is not there", path: "TOKEN/trace?host=x&from=10.5.75.2&to=10.100.100.1", code: 422 },
  { name: "for a path that is none", path: "//", code: 403 },
])("who asks $name gets $code", async ({ path, code, name: _name, ...how }) => {
  const { url, ask, errors } = await served();
  const text = await ask(path.replace("TOKEN/", url.pathname), how);
  expect(text).toMatch(new RegExp(`^HTTP/1.1 ${code} `));
  expect(text).not.toContain("10.100.100.1");
  expect(errors).toEqual([]);
});

test("the state, a service, a packet, and events are answered", async () => {
  const { page } = await served();
  const get = async (path: string) => (await fetch(new URL(path, page.url))).json();
  expect((await get("state")).services).toHaveLength(2);
  expect((await get("service?id=default/service1"))[0].rules.length).toBeGreaterThan(3);
  const trace = await get("trace?host=cloudos1&from=10.5.75.2&to=10.100.100.1&port=7070&protocol=tcp");
  expect(trace.branches).toHaveLength(2);
  expect(await get("connections?host=cloudos1&id=default/service1")).toBeNull();
  const events = await fetch(new URL("events", page.url));
  expect(events.headers.get("content-type")).toContain("text/event-stream");
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  await vi.waitFor(async () => {
    text += (await reader?.read())?.value ?? "";
    expect(text).toContain('"kind":"judged"');
  });
  await reader?.cancel();
});

/** Answers as the example, and tells events by `follow`. */
async function servedWith(follow: PageData["follow"]) {
  const local = new LocalData(exampleViewed());
  const data: PageData = {
    state: () => local.state(),
    service: (id) => local.service(id),
    trace: (packet) => local.trace(packet),
    connections: async () => undefined,
    follow,
  };
  const page = await servePage(data, { onError: () => {} });
  onTestFinished(() => page.close());
  return page;
}

const since = "2026-01-02T03:04:05.000Z";

test("a window that reads nothing is let go when it has too much to catch up on, and the others are served", async () => {
  const stopped = vi.fn<() => void>();
  let tell: (event: PageEvent) => void = () => {};
  const page = await servedWith((onEvent) => {
    tell = onEvent;
    return stopped;
  });
  const { host, port, pathname } = new URL(page.url);
  const socket = connect(Number(port), "127.0.0.1");
  onTestFinished(() => void socket.destroy());
  socket.on("error", () => {}).pause();
  socket.write(`GET ${pathname}events HTTP/1.1\r\nhost: ${host}\r\n\r\n`);
  const why = "x".repeat(8_000_000);
  await vi.waitFor(
    () => {
      for (let count = 0; count < 3; count++) tell({ kind: "old", why, since });
      expect(stopped).toHaveBeenCalledOnce();
    },
    { timeout: 30_000 },
  );
  expect((await fetch(new URL("state", page.url))).status).toBe(200);
});

test.for([
  { name: "for the first time", headers: {}, has: "what it has" },
  { name: "again", headers: { "last-event-id": "3" }, has: "nothing" },
])("who connects $name is taken to have $has", async ({ headers, has }) => {
  const page = await servedWith((onEvent, have) => {
    onEvent({ kind: "old", why: have === "" ? "nothing" : "what it has", since });
    return () => {};
  });
  const events = await fetch(new URL("events?have=7", page.url), { headers });
  const reader = events.body?.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes('"kind"')) text += (await reader?.read())?.value ?? "";
  await reader?.cancel();
  expect(text).toContain(`"why":"${has}"`);
});
