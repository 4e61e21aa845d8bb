import { once } from "node:events";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { text } from "node:stream/consumers";
import type { EtcdEndpoint } from "../client/etcd-settings.ts";

export interface GatewayRequest {
  /** `kv/range` */
  readonly path: string;
  readonly body: string;
  readonly token: string | undefined;
}

/** A server that answers as etcd's gateway might: for what a real one does at its own time. */
export class FakeGateway implements AsyncDisposable {
  readonly requests: GatewayRequest[] = [];
  readonly #server: Server;

  private constructor(answer: (request: GatewayRequest, response: ServerResponse) => void) {
    this.#server = createServer((request, response) => void this.#serve(request, response, answer));
  }

  static async start(answer: (request: GatewayRequest, response: ServerResponse) => void): Promise<FakeGateway> {
    const gateway = new FakeGateway(answer);
    gateway.#server.listen(0, "127.0.0.1");
    await once(gateway.#server, "listening");
    return gateway;
  }

  get endpoint(): EtcdEndpoint {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("it has no port");
    return { host: "127.0.0.1", port: address.port };
  }

  async #serve(
    message: IncomingMessage,
    response: ServerResponse,
    answer: (request: GatewayRequest, response: ServerResponse) => void,
  ): Promise<void> {
    const path = (message.url ?? "").replace("/v3/", "");
    const request = { path, body: await text(message), token: message.headers.authorization };
    this.requests.push(request);
    answer(request, response);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }
}

export function encoded(text: string): string {
  return Buffer.from(text).toString("base64");
}
