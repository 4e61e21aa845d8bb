import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { findPortHolder, thisMachine } from "@svcproxy/host";
import { EnvironmentError, parseIpAddress } from "@svcproxy/topology";

import { ConnectionPool, createBoundedServer } from "./bounded-server.ts";
import { METRICS_CONTENT_TYPE } from "./render-metrics.ts";

/** Scrapers and people at a time; see `RESERVED_DESCRIPTORS` of the proxy. */
const MAX_CONNECTIONS = 16;

/** What is to be seen from outside. */
export interface ObservedPages {
  /** Prometheus text. */
  metrics(): Promise<string>;
  /** Any JSON value. */
  status(): Promise<unknown>;
  /** Why it is not ready, a line each; none: it is. */
  unreadiness(): Promise<readonly string[]>;
}

export interface ObserveServerOptions {
  /** Port 0 is any free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly pages: ObservedPages;
  readonly onProblem: (error: unknown) => void;
}

export interface ObserveServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/metrics` (Prometheus text), `/healthz` (the event loop answers), `/readyz` (all that can be is served) and `/status` (JSON).
 *
 * @throws EnvironmentError METRICS_ADDRESS where it cannot listen there; `cause` is the system's error
 */
export async function startObserveServer(options: ObserveServerOptions): Promise<ObserveServer> {
  const server = createBoundedServer((request, response) => {
    answer(request, options.pages).then(
      (reply) => send(response, { ...reply, isHead: request.method === "HEAD" }),
      (error: unknown) => {
        options.onProblem(error);
        send(response, { code: 500, type: TEXT, body: "the proxy could not be asked\n" });
      },
    );
  }, new ConnectionPool(MAX_CONNECTIONS));
  server.listen({ host: options.listen.address, port: options.listen.port });
  try {
    await once(server, "listening");
  } catch (error) {
    throw await cannotListen(options.listen, error);
  }
  return {
    port: portOf(server.address()),
    close: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}
async function cannotListen(
  { address, port }: ObserveServerOptions["listen"],
  cause: unknown,
): Promise<EnvironmentError> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const at = parseIpAddress(address);
  const holder =
    at === undefined ? undefined : await findPortHolder(thisMachine, { protocol: "tcp", address: at, port });
  const held = holder === undefined ? "" : `, held by pid ${holder.pid} (${holder.command})`;
  return new EnvironmentError("METRICS_ADDRESS", `Cannot serve metrics: ${reason}${held}`, {
    cause,
    hint: "Give another address with --metrics",
  });
}

interface Reply {
  readonly code: number;
  readonly type: string;
  readonly body: string;
  readonly isHead?: boolean;
}

const TEXT = "text/plain; charset=utf-8";
const JSON_TYPE = "application/json; charset=utf-8";

async function answer({ method, url }: IncomingMessage, pages: ObservedPages): Promise<Reply> {
  if (method !== "GET" && method !== "HEAD") return { code: 405, type: TEXT, body: "GET only\n" };
  const [path] = (url ?? "/").split("?");
  switch (path) {
    case "/healthz":
      return { code: 200, type: TEXT, body: "ok\n" };
    case "/readyz":
      return readiness(await pages.unreadiness());
    case "/metrics":
      return { code: 200, type: METRICS_CONTENT_TYPE, body: await pages.metrics() };
    case "/status":
      return { code: 200, type: JSON_TYPE, body: `${JSON.stringify(await pages.status(), null, 2)}\n` };
    default:
      return { code: 404, type: TEXT, body: "/metrics, /healthz, /readyz and /status are here\n" };
  }
}

function readiness(reasons: readonly string[]): Reply {
  if (reasons.length === 0) return { code: 200, type: TEXT, body: "ready\n" };
  return { code: 503, type: TEXT, body: reasons.map((reason) => `${reason}\n`).join("") };
}

function send(response: ServerResponse, { code, type, body, isHead }: Reply): void {
  response.writeHead(code, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
  });
  response.end(isHead === true ? "" : body);
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
