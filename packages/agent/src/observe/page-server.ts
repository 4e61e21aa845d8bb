import { once } from "node:events";
import { chmod, chown, unlink } from "node:fs/promises";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import process from "node:process";
import { findPortHolder, systemCode, thisMachine } from "@svcproxy/host";
import { EnvironmentError, parseIpAddress } from "@svcproxy/topology";
import { ConnectionPool, createBoundedServer } from "./bounded-server.ts";

export interface Page {
  readonly code: number;
  readonly type: string;
  readonly body: string;
}

/** What is answered on each `METHOD /path`, to what stands behind its question mark. */
export type Pages = ReadonlyMap<string, (query: URLSearchParams) => Promise<Page>>;

/** Where pages are served. */
export type PagePlace =
  | PortPlace
  /** @param group who may ask besides this user */
  | { readonly kind: "socket"; readonly path: string; readonly group: number | undefined };

interface PortPlace {
  readonly kind: "port";
  readonly address: string;
  /** 0 is any free one. */
  readonly port: number;
  /** What helps where the port cannot be had. */
  readonly hint: string;
}

export interface PageServer {
  /** 0 on a socket. */
  readonly port: number;
  close(): Promise<void>;
}

/** Whoever asks at a time, of one server. */
const MAX_CONNECTIONS = 16;

export const TEXT = "text/plain; charset=utf-8";
export const JSON_TYPE = "application/json; charset=utf-8";

export interface ServePagesOptions {
  readonly place: PagePlace;
  /** Told why a page could not be made; who asked gets a 500. */
  readonly onProblem: (error: unknown) => void;
}

/**
 * Serves pages by HTTP until it is closed: HEAD like GET, 405 for another method of a page, 404 with what there is for the rest.
 *
 * @throws EnvironmentError METRICS_ADDRESS, AGENT_SOCKET where it cannot listen there; `cause` is the system's error
 */
export async function servePages(pages: Pages, { place, onProblem }: ServePagesOptions): Promise<PageServer> {
  const server = createBoundedServer((request, response) => {
    answer(request, pages).then(
      (page) => send(response, page, request.method === "HEAD"),
      (error: unknown) => {
        onProblem(error);
        send(response, { code: 500, type: TEXT, body: "this could not be answered; the log says why\n" }, false);
      },
    );
  }, new ConnectionPool(MAX_CONNECTIONS));
  if (place.kind === "socket") await listenOnSocket(server, place);
  else await listenOnPort(server, place);
  return {
    port: portOf(server.address()),
    close: async () => {
      server.close();
      server.closeAllConnections();
      if (server.listening) await once(server, "close");
    },
  };
}

async function listenOnPort(server: Server, place: PortPlace): Promise<void> {
  server.listen({ host: place.address, port: place.port });
  try {
    await once(server, "listening");
  } catch (error) {
    throw await cannotListen(place, error);
  }
}

async function listenOnSocket(
  server: Server,
  { path, group }: { readonly path: string; readonly group: number | undefined },
): Promise<void> {
  try {
    // Left behind by a killed agent; who calls this has the lock.
    await unlink(path).catch((error: unknown) => {
      if (systemCode(error) !== "ENOENT") throw error;
    });
    // The kernel makes the socket in this call: at no time may others connect to it.
    const mask = process.umask(0o177);
    server.listen({ path });
    process.umask(mask);
    await once(server, "listening");
    if (group !== undefined) await chown(path, process.getuid?.() ?? 0, group);
    await chmod(path, 0o660);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new EnvironmentError("AGENT_SOCKET", `Cannot answer on ${path}: ${reason}`, {
      cause,
      hint: "Name a directory for it that only this user can write to: RUNTIME_DIRECTORY=/path",
    });
  }
}

async function cannotListen({ address, port, hint }: PortPlace, cause: unknown): Promise<EnvironmentError> {
  const reason = cause instanceof Error ? cause.message : String(cause);
  const at = parseIpAddress(address);
  const holder =
    at === undefined ? undefined : await findPortHolder(thisMachine, { protocol: "tcp", address: at, port });
  const held = holder === undefined ? "" : `, held by pid ${holder.pid} (${holder.command})`;
  return new EnvironmentError("METRICS_ADDRESS", `Cannot answer on port ${port}: ${reason}${held}`, { cause, hint });
}

async function answer({ method = "GET", url = "/" }: IncomingMessage, pages: Pages): Promise<Page> {
  const [path = "/", query = ""] = url.split("?");
  const page = pages.get(`${method === "HEAD" ? "GET" : method} ${path}`);
  if (page !== undefined) return page(new URLSearchParams(query));
  const others = [...pages.keys()].filter((key) => key.endsWith(` ${path}`));
  if (others.length > 0) return { code: 405, type: TEXT, body: `${others.join(", ")}\n` };
  return { code: 404, type: TEXT, body: `here is: ${[...pages.keys()].join(", ")}\n` };
}

function send(response: ServerResponse, { code, type, body }: Page, isHead: boolean): void {
  response.writeHead(code, {
    "content-type": type,
    "content-length": Buffer.byteLength(body),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
  });
  response.end(isHead ? "" : body);
}

function portOf(address: AddressInfo | string | null): number {
  return typeof address === "object" && address !== null ? address.port : 0;
}
