import { request as httpRequest, type IncomingMessage, type RequestOptions } from "node:http";
import { Agent, request as httpsRequest } from "node:https";
import { type Readable, Writable } from "node:stream";
import { constants, createGunzip } from "node:zlib";
import type { ClusterAccess } from "@svcproxy/topology";
import { readJsonLines } from "../read-json-lines.ts";
import { ApiError, statusOf } from "./api-error.ts";
import { Credentials } from "./credentials.ts";
import { RequestCounter, type RequestCounts } from "./request-counter.ts";

export interface ApiRequest {
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly signal: AbortSignal;
}

/** The head of an answer has to be there by then; servers give themselves 60 s for a list. */
const HEAD_TIMEOUT_MS = 70_000;
/** A packet that is lost on the way is sent again after 1, 3 and 7 s; after that the next would be so late that a way that is there again is not noticed. */
const CONNECT_TIMEOUT_MS = 10_000;
/** Within a body that is no watch, bytes may be apart so far. */
const BODY_TIMEOUT_MS = 60_000;
/** The kernel asks a peer that is silent for so long, every second from then on, and gives up after ten without an answer. */
const KEEP_ALIVE_MS = 15_000;
/** Of a body that says why a request was refused. */
const MAX_STATUS_BYTES = 64 << 10;
/** What one page of a list may hold: 500 objects of etcd's limit would be more, and no service is near it. */
const MAX_LIST_BYTES = 512 << 20;

/** etcd takes no object above 1.5 MiB; a line that grows beyond this is not an event. */
const MAX_EVENT_BYTES = 16 << 20;

/** Asks an API server, by GET alone. One socket a watch, and those that lists share. */
export class ApiClient implements Disposable {
  /** As people call it: host and port. */
  readonly name: string;
  readonly #access: ClusterAccess;
  readonly #credentials: Credentials;
  readonly #userAgent: string;
  readonly #connectMs: number;
  readonly #counter: RequestCounter;
  #agent: { readonly signature: string; readonly agent: Agent } | undefined;

  /** @param options.connectMs how long a connection may take, TLS with it; default 10 s */
  constructor(
    access: ClusterAccess,
    { version, connectMs = CONNECT_TIMEOUT_MS }: { readonly version: string; readonly connectMs?: number },
  ) {
    this.#connectMs = connectMs;
    this.#access = access;
    this.#credentials = new Credentials(access);
    this.#userAgent = `svcproxy/${version}`;
    this.name = access.server.host;
    this.#counter = new RequestCounter(this.name);
  }

  /** What was asked so far. */
  get requests(): RequestCounts {
    return this.#counter.counts;
  }

  /**
   * One answer as a whole.
   *
   * @param onBytes called as it comes in
   * @throws ApiError, or what the network says
   */
  async get(request: ApiRequest, onBytes: () => void = () => {}): Promise<unknown> {
    const startedMs = performance.now();
    const response = await this.#ask(request);
    response.setTimeout(BODY_TIMEOUT_MS, () => response.destroy(new ApiError("the answer stopped in the middle")));
    const text = await readAll(inflated(response), { maxBytes: MAX_LIST_BYTES, onBytes });
    this.#counter.took(performance.now() - startedMs);
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new ApiError(`the answer is not JSON: ${text.slice(0, 60)}`, { cause });
    }
  }

  /**
   * The events of a watch, those together that came together, until the server ends it.
   *
   * @param onBytes called as they come in
   * @throws ApiError, or what the network says, also where it is cut off
   */
  async *watch(request: ApiRequest, onBytes: () => void): AsyncGenerator<readonly unknown[], void, undefined> {
    const response = await this.#ask(request);
    onBytes();
    try {
      const cutOffBytes = yield* readJsonLines(inflated(response), {
        maxLineBytes: MAX_EVENT_BYTES,
        fault: (whatLineIs, options) => new ApiError(`a line of the answer is ${whatLineIs}`, options),
        onBytes,
      });
      if (cutOffBytes > 0) throw new ApiError("the answer was cut off in the middle of a line");
    } finally {
      response.destroy();
    }
  }

  /** The answer of a server that took the request; who was refused for a credential that ran out is asked once more with a new one. */
  async #ask(request: ApiRequest): Promise<IncomingMessage> {
    const response = await this.#send(request);
    if (response.statusCode === 200) return response;
    const error = await refusalOf(response);
    if (error.status?.code !== 401) throw error;
    this.#credentials.refused();
    const again = await this.#send(request);
    if (again.statusCode === 200) return again;
    throw await refusalOf(again);
  }

  async #send({ path, query, signal }: ApiRequest): Promise<IncomingMessage> {
    const { server } = this.#access;
    const isSecure = server.protocol === "https:";
    const authorization = await this.#credentials.authorization(signal);
    const options: RequestOptions = {
      ...(isSecure ? { agent: await this.#secureAgent(signal) } : {}),
      headers: {
        accept: "application/json",
        "accept-encoding": "gzip",
        "user-agent": this.#userAgent,
        ...(authorization === undefined ? {} : { authorization }),
      },
      signal,
    };
    const search = new URLSearchParams(query).toString();
    const url = new URL(`${server.pathname.replace(/\/$/, "")}${path}${search === "" ? "" : `?${search}`}`, server);
    let isAnswered = false;
    return new Promise((resolve, reject) => {
      const sent = (isSecure ? httpsRequest : httpRequest)(url, options, (response) => {
        clearTimeout(timer);
        isAnswered = true;
        this.#counter.answered(response.statusCode);
        resolve(response);
      });
      const timer = setTimeout(() => sent.destroy(new ApiError("there was no answer in time")), HEAD_TIMEOUT_MS);
      sent.once("socket", (socket) => {
        socket.setKeepAlive(true, KEEP_ALIVE_MS);
        if (!socket.connecting) return;
        const connecting = setTimeout(
          () => sent.destroy(new ApiError("there was no connection in time")),
          this.#connectMs,
        );
        socket.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(connecting));
        sent.once("close", () => clearTimeout(connecting));
      });
      sent.once("close", () => clearTimeout(timer));
      sent.once("error", (error) => {
        // What was told to end is no failure of the server.
        if (!signal.aborted && !isAnswered) this.#counter.answered(undefined);
        reject(error);
      });
      sent.end();
    });
  }

  /** Made anew when a certificate has changed: connections that are there live on with the one before. */
  async #secureAgent(signal: AbortSignal): Promise<Agent> {
    const { tlsServerName, skipsVerification } = this.#access;
    const { signature, ...tls } = await this.#credentials.tls(signal);
    if (this.#agent?.signature !== signature) {
      const agent = new Agent({
        ...tls,
        ...{ keepAlive: true, maxFreeSockets: 1, rejectUnauthorized: !skipsVerification },
        ...(tlsServerName === undefined ? {} : { servername: tlsServerName }),
      });
      this.#agent = { signature, agent };
    }
    return this.#agent.agent;
  }

  [Symbol.dispose](): void {
    this.#agent?.agent.destroy();
  }
}

/** Each line has to come out as soon as its bytes are in: the server flushes after each event. */
function inflated(response: IncomingMessage): Readable {
  if (response.headers["content-encoding"] !== "gzip") return response;
  const gunzip = createGunzip({
    ...{ flush: constants.Z_SYNC_FLUSH, finishFlush: constants.Z_SYNC_FLUSH },
    chunkSize: INFLATED_CHUNK_BYTES,
  });
  response.once("error", (error) => gunzip.destroy(error));
  response.once("close", () => {
    if (!response.complete) gunzip.destroy(new ApiError("the connection was cut off"));
  });
  response.pipe(joiningInto(gunzip));
  return gunzip;
}

const INFLATED_CHUNK_BYTES = 64 << 10;

/** Passes on in one piece what came meanwhile: a list that is streamed comes in thousands of them, and each goes through another thread of zlib's. */
function joiningInto(target: Writable): Writable {
  const joining = new Writable({
    write: (chunk: Buffer, _encoding, done) => void target.write(chunk, done),
    writev: (chunks, done) => void target.write(Buffer.concat(chunks.map(({ chunk }) => chunk)), done),
    final: (done) => {
      target.end();
      done();
    },
  });
  // What is wrong is told by the target, and after its end there is nobody to pass on to.
  joining.on("error", () => {});
  target.once("close", () => joining.destroy());
  return joining;
}

async function refusalOf(response: IncomingMessage): Promise<ApiError> {
  const { statusCode = 0, headers } = response;
  response.setTimeout(BODY_TIMEOUT_MS, () => response.destroy());
  const body = await readAll(inflated(response), { maxBytes: MAX_STATUS_BYTES, onBytes: () => {} }).catch(() => "");
  const status = statusOf(statusCode, body, headers["retry-after"]);
  return new ApiError(status.message, { status });
}

/** @throws ApiError where it is longer */
async function readAll(
  stream: Readable,
  { maxBytes, onBytes }: { readonly maxBytes: number; readonly onBytes: () => void },
): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of stream) {
    onBytes();
    length += chunk.length;
    if (length > maxBytes) throw new ApiError(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}
