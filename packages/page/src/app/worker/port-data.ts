import type { TraceJson } from "@svcproxy/rules";
import type { PageConnections, PageData, PageEvent, PagePacket, PageState, ServiceView } from "../../model.ts";
import type { PortAnswer, PortQuestion } from "./answer-port.ts";

type WithoutNumber<T> = T extends unknown ? Omit<T, "number"> : never;

interface Waiting {
  readonly resolve: (value: never) => void;
  readonly reject: (error: Error) => void;
}

/** Asks the data behind a port: it never changes, and is in a thread of its own, so that the page stays quick while it works. */
export class PortData implements PageData {
  readonly #port: MessagePort;
  readonly #waiting = new Map<number, Waiting>();
  readonly #followers = new Set<(event: PageEvent) => void>();
  #state: Promise<PageState> | undefined;
  #isFollowing = false;
  #asked = 0;

  constructor(port: MessagePort) {
    this.#port = port;
    port.onmessage = ({ data }: MessageEvent<PortAnswer>) => this.#take(data);
  }

  state(): Promise<PageState> {
    this.#state ??= this.#ask<PageState>({ ask: "state" });
    return this.#state;
  }

  service(id: string): Promise<readonly ServiceView[]> {
    return this.#ask({ ask: "service", id });
  }

  trace(packet: PagePacket): Promise<TraceJson> {
    return this.#ask({ ask: "trace", packet });
  }

  connections(host: string, id: string): Promise<PageConnections | undefined> {
    return this.#ask({ ask: "connections", host, id });
  }

  follow(onEvent: (event: PageEvent) => void): () => void {
    this.#followers.add(onEvent);
    if (!this.#isFollowing) void this.#ask({ ask: "follow" });
    this.#isFollowing = true;
    return () => this.#followers.delete(onEvent);
  }

  /** Nobody is behind the port any more, or never was. */
  fail(why: string): void {
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
  }

  #ask<T>(question: WithoutNumber<PortQuestion>): Promise<T> {
    const number = this.#asked++;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.set(number, { resolve, reject });
      this.#port.postMessage({ ...question, number });
    });
  }

  #take(answer: PortAnswer): void {
    if ("event" in answer) {
      for (const onEvent of this.#followers) onEvent(answer.event);
      return;
    }
    const waiting = this.#waiting.get(answer.number);
    this.#waiting.delete(answer.number);
    if ("error" in answer) waiting?.reject(new Error(answer.error));
    else waiting?.resolve(answer.value as never);
  }
}
