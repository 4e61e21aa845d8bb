import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer, type ServerOptions } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Writable } from "node:stream";
import { constants, createGzip, gzipSync } from "node:zlib";
import { type ClusterObject, ClusterStore, type ServedKind, type StoreEvent, servedKindAt } from "./cluster-store.ts";
import { type RecordedExchange, recordedExchange } from "./recorded-exchange.ts";

/** How the next requests are answered instead of from the store. */
export type ScriptedAnswer =
  /** As it was recorded; `cut`: the connection breaks in the middle of its last line. */
  | { readonly recorded: string; readonly cut?: boolean }
  /** By somebody between us and the server, as a rule. */
  | {
      readonly body: string | Buffer;
      readonly status?: number;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | "silence";

export interface AskedRequest {
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
}

/** Of a list that would be compressed: the real server's bound. */
const GZIP_FROM_BYTES = 128 << 10;

/**
 * An API server with a store of its own, which speaks as the recorded one did: its refusals are the recorded bodies, its lists and watches have
 * their shape. A script may answer in its place. A real kube-proxy follows it where its configuration says `contentType: application/json`.
 */
export class TestApiServer implements AsyncDisposable {
  readonly store = new ClusterStore();
  readonly requests: AskedRequest[] = [];
  /** Asked first; undefined: the store answers. */
  script: (request: AskedRequest) => ScriptedAnswer | undefined = () => undefined;
  /** Whether it streams lists; etcd 3.4 does not let it. */
  canStream = true;
  #server: Server;
  readonly #secure: ServerOptions | undefined;
  readonly #sockets = new Set<Socket>();
  #port = 0;

  private constructor(secure: ServerOptions | undefined) {
    this.#secure = secure;
    this.#server = this.#create();
  }

  /** @param options.port default: a free one */
  static async start({
    secure,
    port = 0,
  }: {
    readonly secure?: ServerOptions;
    readonly port?: number;
  } = {}): Promise<TestApiServer> {
    const server = new TestApiServer(secure);
    server.#port = port;
    await server.listen();
    return server;
  }

  get url(): URL {
    return new URL(`${this.#secure === undefined ? "http" : "https"}://127.0.0.1:${this.#port}`);
  }

  async listen(): Promise<void> {
    this.#server.listen(this.#port, "127.0.0.1");
    await once(this.#server, "listening");
    const address: AddressInfo | string | null = this.#server.address();
    if (typeof address === "object" && address !== null) this.#port = address.port;
  }

  /** As by kill -9: connections break off. */
  async kill(): Promise<void> {
    this.#server.close();
    for (const socket of this.#sockets) socket.resetAndDestroy();
    if (this.#server.listening) await once(this.#server, "close");
    this.#server = this.#create();
  }

  /** What was asked of a resource, by the end of its path. */
  askedOf(plural: string): readonly AskedRequest[] {
    return this.requests.filter(({ path }) => path.endsWith(`/${plural}`));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #create(): Server {
    const answer = (request: IncomingMessage, response: ServerResponse) => this.#answer(request, response);
    const server = this.#secure === undefined ? createServer(answer) : createSecureServer(this.#secure, answer);
    server.on("connection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
    });
    return server;
  }

  #answer(message: IncomingMessage, response: ServerResponse): void {
    if (message.method === "POST") {
      takeEvent(message, response);
      return;
    }
    const url = new URL(message.url ?? "/", this.url);
    const request = { path: url.pathname, query: url.searchParams, headers: message.headers };
    this.requests.push(request);
    const scripted = this.script(request);
    const served = servedKindAt(request.path);
    if (scripted === "silence") {
      response.writeHead(200, JSON_HEADERS);
      response.flushHeaders();
    } else if (scripted !== undefined && "body" in scripted) {
      const { status = 200, headers = JSON_HEADERS, body } = scripted;
      response.writeHead(status, headers).end(body);
    } else if (scripted !== undefined) replay(recordedExchange(scripted.recorded), response, scripted);
    else if (served === undefined) replay(recordedExchange("unknown-path"), response);
    else if (request.query.get("watch") === "true") this.#watch(request, response, served);
    else this.#list(request, response, served);
  }

  #list({ path, query, headers }: AskedRequest, response: ServerResponse, { kind, apiVersion }: ServedKind): void {
    const all = this.store.list(path).filter((object) => isSelected(object, query));
    const limit = Number(query.get("limit") ?? "0");
    const start = Number(query.get("continue") ?? "0");
    const items = (limit > 0 ? all.slice(start, start + limit) : all).map(
      ({ kind: _, apiVersion: __, ...rest }) => rest,
    );
    const rest = all.length - start - items.length;
    const more = rest > 0 ? { continue: String(start + limit), remainingItemCount: rest } : {};
    const body = JSON.stringify({
      ...{ kind: `${kind}List`, apiVersion, metadata: { resourceVersion: String(this.store.version), ...more } },
      items,
    });
    if (acceptsGzip(headers) && body.length >= GZIP_FROM_BYTES) {
      response.writeHead(200, { ...JSON_HEADERS, "content-encoding": "gzip" }).end(gzipSync(body));
    } else response.writeHead(200, JSON_HEADERS).end(body);
  }

  #watch(request: AskedRequest, response: ServerResponse, { kind, apiVersion }: ServedKind): void {
    const { path, query } = request;
    const isInitial = query.get("sendInitialEvents") === "true";
    const since = Number(query.get("resourceVersion") ?? "0");
    const refusal = this.#refusalOf(query, since);
    if (refusal !== undefined) {
      replay(recordedExchange(refusal), response);
      return;
    }
    const write = openStream(request, response);
    const send = (event: StoreEvent) => {
      const line = eventLine(event, query);
      if (event.path === path && event.version > since && line !== undefined) write(line);
    };
    if (isInitial) {
      for (const object of this.store.list(path)) if (isSelected(object, query)) write(lineOf("ADDED", object));
      const annotations = { "k8s.io/initial-events-end": "true" };
      const metadata = { resourceVersion: String(this.store.version), annotations };
      write(lineOf("BOOKMARK", { kind, apiVersion, metadata }));
    } else for (const event of this.store.events) send(event);
    const stop = this.store.onEvent(send);
    response.once("close", stop);
  }

  /** The recorded answer to a watch that cannot be. */
  #refusalOf(query: URLSearchParams, since: number): string | undefined {
    if (query.get("sendInitialEvents") !== "true") return since < this.store.oldest ? "410-watch-services" : undefined;
    if (!this.canStream) return "etcd34-watch-sendinitialevents-services";
    return query.get("resourceVersionMatch") === "NotOlderThan" ? undefined : "watch-sendinitialevents-no-match";
  }
}

/** kube-proxy tells of itself; nobody reads it. */
function takeEvent(request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(201, JSON_HEADERS);
  request.pipe(response);
}

const JSON_HEADERS = { "content-type": "application/json" };

function acceptsGzip(headers: IncomingMessage["headers"]): boolean {
  return headers["accept-encoding"]?.includes("gzip") === true;
}

function openStream({ headers }: AskedRequest, response: ServerResponse): (line: string) => void {
  const isGzip = acceptsGzip(headers);
  response.writeHead(200, { ...JSON_HEADERS, ...(isGzip ? { "content-encoding": "gzip" } : {}) });
  response.flushHeaders();
  const gzip = isGzip ? createGzip({ flush: constants.Z_SYNC_FLUSH }) : undefined;
  gzip?.pipe(response);
  const out: Writable = gzip ?? response;
  return (line) => void out.write(line);
}

function lineOf(type: string, object: object): string {
  return `${JSON.stringify({ type, object })}\n`;
}

/** An object that leaves the selector goes as it is now, one that enters it comes. */
function eventLine({ before, after }: StoreEvent, query: URLSearchParams): string | undefined {
  const [was, is] = [before, after].map((object) => object !== undefined && isSelected(object, query));
  if (is === true) return lineOf(was === true ? "MODIFIED" : "ADDED", after ?? {});
  return was === true ? lineOf("DELETED", after ?? before ?? {}) : undefined;
}

/** The selectors that kube-proxy has. */
function isSelected({ metadata, ...object }: ClusterObject, query: URLSearchParams): boolean {
  const label = /^!(.+)$/.exec(query.get("labelSelector") ?? "")?.[1];
  if (label !== undefined && metadata.labels?.[label] !== undefined) return false;
  const [, field = "", operator, wanted] = /^(.+?)(!?=)(.*)$/.exec(query.get("fieldSelector") ?? "") ?? [];
  if (operator === undefined) return true;
  const value = field.split(".").reduce<unknown>((part, key) => Object(part)[key], { metadata, ...object });
  return operator === "=" ? value === wanted : value !== wanted;
}

/** Answers as it was recorded, without the pauses. */
function replay(
  { status, headers, body, isCut, isOpen }: RecordedExchange,
  response: ServerResponse,
  { cut = false }: { readonly cut?: boolean } = {},
): void {
  const { "content-encoding": _, "transfer-encoding": __, ...plain } = headers;
  response.writeHead(status, plain);
  response.flushHeaders();
  if (isOpen) response.write(body);
  else if (!cut && !isCut) response.end(body);
  else {
    response.write(body.slice(0, Math.max(0, body.length - 40)));
    setTimeout(() => response.socket?.resetAndDestroy(), 20);
  }
}
