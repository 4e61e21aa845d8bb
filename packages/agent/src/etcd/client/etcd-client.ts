import { once } from "node:events";
import { type ClientRequest, Agent as HttpAgent, type IncomingMessage, request as requestHttp } from "node:http";
import { Agent as HttpsAgent, request as requestHttps } from "node:https";
import { readJsonLines } from "../../read-json-lines.ts";
import { asksForToken, EtcdError, errorOfFault, type GatewayFault, isTransient } from "./etcd-error.ts";
import { type EtcdEndpoint, type EtcdSettings, formatEndpoint } from "./etcd-settings.ts";
import { reasonOf } from "./explain-failure.ts";
import { type Answer, answerAt, isAnswer, textAt } from "./gateway-values.ts";

export interface CallOptions {
  /** For people: `read /svcproxy/`. */
  readonly doing: string;
  readonly signal?: AbortSignal;
  /** For one endpoint. */
  readonly timeoutMs?: number;
  /** A call that may not be carried out twice is given to another endpoint only where it cannot have reached the first. */
  readonly isOnce?: boolean;
}

const CALL_TIMEOUT_MS = 5_000;
/** A peer that is gone without a word is found by the kernel. */
const KEEP_ALIVE_MS = 20_000;
/** A whole state of 100,000 keys. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024;
/** A watch's message is at most a few MiB; a stream without line breaks is none of etcd's. */
const MAX_MESSAGE_BYTES = 64 << 20;

type Reply =
  | { readonly kind: "answer"; readonly answer: Answer }
  | { readonly kind: "fault"; readonly fault: GatewayFault };

/**
 * etcd's JSON gateway (3.4 and later) over one of its endpoints, the next one where that fails. Tokens are fetched and renewed as etcd asks
 * for them.
 *
 * @see docs/decisions on why it is not a gRPC client
 */
export class EtcdClient {
  readonly #settings: EtcdSettings;
  readonly #agent: HttpAgent;
  #current = 0;
  #token: string | undefined;
  /** Whether etcd asks nobody who he is. */
  #isOpen = false;

  constructor(settings: EtcdSettings) {
    this.#settings = settings;
    const common = { keepAlive: true, keepAliveMsecs: KEEP_ALIVE_MS };
    this.#agent = settings.tls === undefined ? new HttpAgent(common) : new HttpsAgent({ ...common, ...settings.tls });
    this.#current = Math.floor(Math.random() * settings.endpoints.length);
  }

  /** @throws EtcdError; what `signal` was aborted with */
  async call(path: string, body: Answer, options: CallOptions): Promise<Answer> {
    const tried: string[] = [];
    let failure: unknown;
    let mayHaveHappened = false;
    for (const endpoint of this.#inTurn()) {
      let sent = false;
      const onSent = () => {
        sent = true;
      };
      try {
        const reply = await this.#askAgainOnce(endpoint, path, { body, options, onSent });
        if (reply.kind === "answer") return reply.answer;
        if (!isTransient(reply.fault)) throw errorOfFault(reply.fault, options.doing);
        tried.push(`${formatEndpoint(endpoint)}: ${reply.fault.text}`);
      } catch (error) {
        options.signal?.throwIfAborted();
        if (error instanceof EtcdError) throw error;
        failure = error;
        tried.push(`${formatEndpoint(endpoint)}: ${reasonOf(error)}`);
      }
      this.#goOn(endpoint);
      mayHaveHappened ||= sent;
      if (sent && options.isOnce === true) break;
    }
    throw unreachable(tried, { doing: options.doing, cause: failure, mayHaveHappened });
  }

  /**
   * A call whose answer goes on, message by message, until the other side ends it.
   *
   * @throws EtcdError; what `signal` was aborted with
   */
  async *stream(path: string, body: Answer, options: CallOptions): AsyncGenerator<Answer, void, undefined> {
    const endpoint = this.#endpoint();
    try {
      await this.#logIn(endpoint, options);
      for (let attempt = 0; ; attempt++) {
        const response = await this.#open(endpoint, path, { body, options, onSent: () => {} });
        const fault = response.statusCode === 200 ? undefined : faultOf(parse(await readAll(response)), response);
        if (fault === undefined) {
          yield* messagesOf(response, options.doing);
          return;
        }
        if (attempt > 0 || !asksForToken(fault) || !(await this.#renewToken(endpoint, options)))
          throw errorOfFault(fault, options.doing);
      }
    } catch (error) {
      options.signal?.throwIfAborted();
      this.#goOn(endpoint);
      if (error instanceof EtcdError) throw error;
      throw unreachable([`${formatEndpoint(endpoint)}: ${reasonOf(error)}`], {
        doing: options.doing,
        cause: error,
        mayHaveHappened: true,
      });
    }
  }

  /** A stream that was told it may not begin asks for a new token before it is begun again. */
  forgetToken(): void {
    this.#token = undefined;
  }

  /** Lets go of connections that are kept; calls that are under way fail. */
  close(): void {
    this.#agent.destroy();
  }

  #endpoint(): EtcdEndpoint {
    const { endpoints } = this.#settings;
    return endpoints[this.#current % endpoints.length] ?? endpoints[0];
  }

  #inTurn(): readonly EtcdEndpoint[] {
    const { endpoints } = this.#settings;
    const from = this.#current % endpoints.length;
    return [...endpoints.slice(from), ...endpoints.slice(0, from)];
  }

  #goOn(failed: EtcdEndpoint): void {
    if (this.#endpoint() === failed) this.#current += 1;
  }

  /** A connection that was kept, and that the other side ended meanwhile, says nothing about the other side. */
  async #askAgainOnce(endpoint: EtcdEndpoint, path: string, sending: Sending): Promise<Reply> {
    try {
      return await this.#askWithToken(endpoint, path, sending);
    } catch (error) {
      if (!(error instanceof KeptConnectionEnded) || sending.options.isOnce === true) throw error;
      return this.#askWithToken(endpoint, path, sending);
    }
  }

  async #askWithToken(endpoint: EtcdEndpoint, path: string, sending: Sending): Promise<Reply> {
    await this.#logIn(endpoint, sending.options);
    const reply = await this.#ask(endpoint, path, sending);
    if (reply.kind === "answer" || !asksForToken(reply.fault)) return reply;
    return (await this.#renewToken(endpoint, sending.options)) ? this.#ask(endpoint, path, sending) : reply;
  }

  async #logIn(endpoint: EtcdEndpoint, options: CallOptions): Promise<void> {
    if (this.#token === undefined && !this.#isOpen) await this.#renewToken(endpoint, options);
  }

  /** @returns whether there is one @throws EtcdError where user or password are wrong */
  async #renewToken(endpoint: EtcdEndpoint, { signal, timeoutMs }: CallOptions): Promise<boolean> {
    const { user } = this.#settings;
    if (user === undefined) return false;
    this.#token = undefined;
    const doing = `log in as ${JSON.stringify(user.name)}`;
    const options: CallOptions = { doing, ...(signal && { signal }), ...(timeoutMs && { timeoutMs }) };
    const reply = await this.#ask(endpoint, "auth/authenticate", { body: user, options, onSent: () => {} });
    if (reply.kind === "answer") {
      this.#token = textAt(reply.answer, "token");
      return true;
    }
    this.#isOpen = /authentication is not enabled/.test(reply.fault.text);
    if (this.#isOpen) return false;
    throw errorOfFault(reply.fault, doing);
  }

  async #ask(endpoint: EtcdEndpoint, path: string, sending: Sending): Promise<Reply> {
    const response = await this.#open(endpoint, path, sending);
    const answer = parse(await readAll(response));
    const fault = faultOf(answer, response);
    return fault === undefined ? { kind: "answer", answer } : { kind: "fault", fault };
  }

  /** The answer's head; its body is still to be read. */
  async #open(endpoint: EtcdEndpoint, path: string, { body, options, onSent }: Sending): Promise<IncomingMessage> {
    const { tls } = this.#settings;
    const text = JSON.stringify(body);
    const headers: Record<string, string | number> = {
      "content-type": "application/json",
      "content-length": Buffer.byteLength(text),
      // A member that lost its leader ends a watch rather than be silent.
      "grpc-metadata-hasleader": "true",
    };
    if (this.#token !== undefined) headers["authorization"] = this.#token;
    const timeout = AbortSignal.timeout(options.timeoutMs ?? CALL_TIMEOUT_MS);
    const start = tls === undefined ? requestHttp : requestHttps;
    const request = start({
      ...{ host: endpoint.host, port: endpoint.port, path: `/v3/${path}`, method: "POST", headers, agent: this.#agent },
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    });
    request.on("socket", (socket) => (socket.connecting ? socket.once("connect", onSent) : onSent()));
    request.end(text);
    try {
      return await answerWithin(request, timeout);
    } catch (error) {
      const isEnded = error instanceof Error && "code" in error && error.code === "ECONNRESET";
      throw isEnded && request.reusedSocket
        ? new KeptConnectionEnded("it ended the connection", { cause: error })
        : error;
    }
  }
}

class KeptConnectionEnded extends Error {}

interface Sending {
  readonly body: Answer;
  readonly options: CallOptions;
  /** The other side may have got it. */
  readonly onSent: () => void;
}

async function answerWithin(request: ClientRequest, timeout: AbortSignal): Promise<IncomingMessage> {
  const giveUp = () => request.destroy(new Error("it does not answer"));
  timeout.addEventListener("abort", giveUp, { once: true });
  try {
    const [response]: IncomingMessage[] = await once(request, "response");
    if (response === undefined) throw new Error("there is no answer");
    // What happens to the connection later is told by the body.
    request.on("error", () => {});
    return response;
  } finally {
    timeout.removeEventListener("abort", giveUp);
  }
}

async function readAll(response: IncomingMessage): Promise<string> {
  const giveUp = setTimeout(() => response.destroy(new Error("its answer does not end")), CALL_TIMEOUT_MS * 6);
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    for await (const chunk of response) {
      if (!Buffer.isBuffer(chunk)) continue;
      chunks.push(chunk);
      length += chunk.length;
      if (length > MAX_ANSWER_BYTES) throw new EtcdError("failed", "Cannot read etcd's answer: it is too large");
    }
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    clearTimeout(giveUp);
  }
}

/** Anything but an object counts as an empty one: whether it is a fault says the status. */
function parse(text: string): Answer {
  try {
    const value: unknown = JSON.parse(text);
    return isAnswer(value) ? value : {};
  } catch {
    return { message: text.trim().slice(0, 200) };
  }
}

function faultOf(answer: Answer, { statusCode = 0 }: IncomingMessage): GatewayFault | undefined {
  const error = answer["error"];
  if (statusCode === 200 && error === undefined) return undefined;
  // What might have gone on as a stream (a lease that is kept) has it as a stream does.
  if (isAnswer(error)) return streamFault(error);
  const text = textAt(answer, "message") || textAt(answer, "error") || `HTTP status ${statusCode}`;
  const code = answer["code"];
  if (statusCode === 404 && code === undefined) {
    return {
      code: 12,
      text: `it answers ${JSON.stringify(text)}; svcproxy needs the gateway /v3 of etcd 3.4 or later`,
    };
  }
  return { code: typeof code === "number" ? code : statusCode >= 500 ? 14 : 2, text };
}

/** Each message is a result, or an error in the middle of the stream. What is cut off is none: etcd ends each one with a line break. */
async function* messagesOf(response: IncomingMessage, doing: string): AsyncGenerator<Answer, void, undefined> {
  try {
    const lines = readJsonLines(response, {
      maxLineBytes: MAX_MESSAGE_BYTES,
      fault: (whatLineIs, options) =>
        new EtcdError("failed", `Cannot read etcd's stream: a line is ${whatLineIs}`, options),
    });
    for await (const messages of lines) {
      for (const message of messages.filter(isAnswer)) {
        const error = message["error"];
        if (error === undefined) yield answerAt(message, "result");
        else throw errorOfFault(streamFault(error), doing);
      }
    }
  } finally {
    response.destroy();
  }
}

/** The gateway of 3.4 says `grpc_code`, later ones `code`. */
function streamFault(error: unknown): GatewayFault {
  if (!isAnswer(error)) return { code: 2, text: String(error) };
  const code = error["grpc_code"] ?? error["code"];
  return { code: typeof code === "number" ? code : 2, text: textAt(error, "message") };
}

function unreachable(
  tried: readonly string[],
  { doing, ...options }: { doing: string; cause: unknown; mayHaveHappened: boolean },
): EtcdError {
  return new EtcdError("unreachable", `Cannot ${doing} in etcd: ${tried.join("; ")}`, options);
}
