import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { findPortHolder, thisMachine } from "@svcproxy/host";
import { EnvironmentError, parseIpAddress } from "@svcproxy/topology";
import { METRICS_CONTENT_TYPE, renderMetrics } from "./render-metrics.ts";
import { frontendsNotReady, type StatusDocument } from "./status-document.ts";

export interface ObserveServerOptions {
  /** Port 0 is any free one. */
  readonly listen: { readonly address: string; readonly port: number };
  readonly status: () => Promise<StatusDocument>;
  readonly onProblem: (error: unknown) => void;
}

export interface ObserveServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves `/metrics` (Prometheus text), `/healthz` (the event loop answers), `/readyz` (every frontend listens) and `/status` (JSON).
 *
 * @throws EnvironmentError METRICS_ADDRESS where it cannot listen there; `cause` is the system's error
 */
export async function startObserveServer(options: ObserveServerOptions): Promise<ObserveServer> {
  const server = createServer({ requestTimeout: 10_000 }, (request, response) => {
    answer(request, options).then(
      (reply) => send(response, { ...reply, isHead: request.method === "HEAD" }),
      (error: unknown) => {
        options.onProblem(error);
        send(response, { code: 500, type: TEXT, body: "the proxy could not be asked\n" });
      },
    );
  });
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

async function answer({ method, url }: IncomingMessage, { status }: ObserveServerOptions): Promise<Reply> {
  if (method !== "GET" && method !== "HEAD") return { code: 405, type: TEXT, body: "GET only\n" };
  const [path] = (url ?? "/").split("?");
  switch (path) {
    case "/healthz":
      return { code: 200, type: TEXT, body: "ok\n" };
    case "/readyz":
      return readiness(await status());
    case "/metrics":
      return { code: 200, type: METRICS_CONTENT_TYPE, body: await renderMetrics(await status()) };
    case "/status":
      return { code: 200, type: JSON_TYPE, body: `${JSON.stringify(await status(), null, 2)}\n` };
    default:
      return { code: 404, type: TEXT, body: "/metrics, /healthz, /readyz and /status are here\n" };
  }
}

function readiness(status: StatusDocument): Reply {
  if (status.ready) return { code: 200, type: TEXT, body: "ready\n" };
  if (status.state === "draining") return { code: 503, type: TEXT, body: "draining\n" };
  const failed = frontendsNotReady(status.frontends);
  if (failed.length === 0) return { code: 503, type: TEXT, body: "starting\n" };
  const lines = failed.map(({ key, state }) => `${key}: ${state.kind === "failed" ? state.reason : state.kind}\n`);
  return { code: 503, type: TEXT, body: `not every frontend listens\n${lines.join("")}` };
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
