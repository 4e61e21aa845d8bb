import { randomBytes, timingSafeEqual } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { PageData, PageEvent } from "../model.ts";
import { whyOf } from "../why-of.ts";
import { livePage, livePagePolicy } from "./page-html.ts";

/** A browser opens six connections, and keeps one for events; there may be several windows. */
const MAX_CONNECTIONS = 64;
/** A comment goes out this often, so that both ends notice when the other is gone. */
const KEEP_ALIVE_MS = 15_000;

/** A window that sleeps reads nothing: when it has more than this to catch up on, it has to connect again. */
const MOST_UNSENT_BYTES = 64 * 1024 * 1024;

export interface ServedPage {
  /** With the token: who has it sees the page. */
  readonly url: string;
  close(): Promise<void>;
}

export interface ServeOptions {
  /** Default: a free one. */
  readonly port?: number;
  readonly onError: (error: unknown) => void;
}

/**
 * Serves the page on 127.0.0.1. Every path begins with a token that only the link has, and the Host header has to name this address:
 * no other page that is open in the browser can ask.
 *
 * @throws Error of `listen` where the port is taken
 */
export async function servePage(data: PageData, { port = 0, onError }: ServeOptions): Promise<ServedPage> {
  const token = randomBytes(18).toString("base64url");
  const server = createServer((request, response) => {
    answer({ request, response, data, token }).catch((error: unknown) => {
      onError(error);
      if (response.headersSent) response.destroy();
      else send(response, { code: 500, type: JSON_TYPE, body: JSON.stringify({ error: "it could not be told" }) });
    });
  });
  server.maxConnections = MAX_CONNECTIONS;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const served = typeof address === "object" && address !== null ? address.port : port;
  return {
    url: `http://127.0.0.1:${served}/${token}/`,
    close: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

const JSON_TYPE = "application/json; charset=utf-8";

interface Asked {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly data: PageData;
  readonly token: string;
}

async function answer({ request, response, data, token }: Asked): Promise<void> {
  const { host = "", "sec-fetch-site": site } = request.headers;
  const [place = "/", query = ""] = (request.url ?? "/").split("?");
  const [, given = "", path = ""] = place.split("/");
  if (!/^(127\.0\.0\.1|localhost):\d+$/.test(host))
    return refuse(response, 421, "This page is served on 127.0.0.1 only");
  if (site === "cross-site") return refuse(response, 403, "Another site may not ask");
  if (!isEqual(given, token)) return refuse(response, 403, "Open the link that svcproxy view printed: it has a token");
  if (request.method !== "GET") return refuse(response, 405, "GET");
  if (path === "") return send(response, { code: 200, type: "text/html; charset=utf-8", body: livePage() });
  const fields = new URLSearchParams(query);
  // Who connects again may have missed something: it is told all.
  const isAgain = request.headers["last-event-id"] !== undefined;
  if (path === "events") return sendEvents(response, { data, have: isAgain ? "" : (fields.get("have") ?? "") });
  const ask = questionOf(path, fields, data);
  if (ask === undefined) return refuse(response, 404, "Here is nothing");
  try {
    send(response, { code: 200, type: JSON_TYPE, body: JSON.stringify((await ask()) ?? null) });
  } catch (error) {
    refuse(response, 422, whyOf(error));
  }
}

function questionOf(path: string, fields: URLSearchParams, data: PageData): (() => Promise<unknown>) | undefined {
  const field = (name: string) => fields.get(name) ?? "";
  const port = fields.get("port");
  switch (path) {
    case "state":
      return () => data.state();
    case "service":
      return () => data.service(field("id"));
    case "connections":
      return () => data.connections(field("host"), field("id"));
    case "trace":
      return () =>
        data.trace({
          host: field("host"),
          from: field("from"),
          to: field("to"),
          protocol: field("protocol"),
          ...(port === null ? {} : { port: Number(port) }),
        });
    default:
      return undefined;
  }
}

function sendEvents(
  response: ServerResponse,
  { data, have }: { readonly data: PageData; readonly have: string },
): void {
  response.writeHead(200, { ...HEADERS, "content-type": "text/event-stream; charset=utf-8" });
  response.write("retry: 1000\n\n");
  let count = 0;
  const write = (event: PageEvent) => {
    if (response.destroyed) return;
    response.write(`id: ${count++}\ndata: ${JSON.stringify(event)}\n\n`);
    if (response.writableLength > MOST_UNSENT_BYTES) response.destroy();
  };
  const stop = data.follow(write, have);
  const timer = setInterval(() => response.write(": still here\n\n"), KEEP_ALIVE_MS);
  response.on("close", () => {
    clearInterval(timer);
    stop();
  });
}

/** For everything that is sent: nobody keeps it, frames it or is told of its address. */
const HEADERS = {
  "cache-control": "no-store",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-resource-policy": "same-origin",
  "cross-origin-opener-policy": "same-origin",
};

function refuse(response: ServerResponse, code: number, error: string): void {
  send(response, { code, type: JSON_TYPE, body: JSON.stringify({ error }) });
}

function send(
  response: ServerResponse,
  { code, type, body }: { readonly code: number; readonly type: string; readonly body: string },
): void {
  response.writeHead(code, {
    ...HEADERS,
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "content-security-policy": livePagePolicy(),
  });
  response.end(body);
}

function isEqual(given: string, token: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(token)];
  return a.length === b.length && timingSafeEqual(a, b);
}
