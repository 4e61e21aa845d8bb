import { repeat } from "@svcproxy/host";
import type { SocketAddress } from "@svcproxy/topology";
import type { Logger } from "pino";
import type { UdpHandle } from "../plane/native-handles.ts";
import type { DatagramPlane, DatagramSender } from "./udp-sockets.ts";

/** The first probe comes after this long, each further one after twice as long as the one before. */
const FIRST_PROBE_MS = 1_000;
const LONGEST_PROBE_MS = 8_000;
/** Whose refusal has not come by then is taken to be there: most servers do not answer an empty datagram. */
const REFUSAL_WAIT_MS = 500;
/** Endpoints that are probed at a time, all frontends together; the others wait for their turn. */
const MAX_PROBES = 64;
const TICK_MS = 100;
/** A probe needs no more. */
const PROBE_BUFFER_BYTES = 4_096;
/** One that comes and goes is told of once in this time. */
const QUIET_MS = 60_000;

export interface RefusedFrontendsOptions {
  readonly datagrams: DatagramPlane;
  readonly logger: Logger;
  /** Undefined: the frontend is not in the plan any more. */
  readonly endpointsOf: (key: string) => readonly SocketAddress[] | undefined;
  /** One of the frontend's endpoints may be there again. */
  readonly onAnswer: (key: string) => void;
}

interface RefusedFrontend {
  probeAtMs: number;
  waitMs: number;
  isProbed: boolean;
}

/** UDP frontends on which nobody listens, because all their endpoints refuse: asks now and then whether one is there again. */
export class RefusedFrontends {
  readonly #options: RefusedFrontendsOptions;
  readonly #sender: DatagramSender;
  readonly #frontends = new Map<string, RefusedFrontend>();
  readonly #toldAtMs = new Map<string, number>();
  #probes = 0;
  #ticker: NodeJS.Timeout | undefined;

  constructor(options: RefusedFrontendsOptions) {
    this.#options = options;
    this.#sender = options.datagrams.newSender();
  }

  has(key: string): boolean {
    return this.#frontends.has(key);
  }

  add(key: string): void {
    this.#frontends.set(key, {
      probeAtMs: performance.now() + FIRST_PROBE_MS,
      waitMs: FIRST_PROBE_MS,
      isProbed: false,
    });
    this.#tell(key, "every endpoint refuses: nobody listens until one is there again, so that clients learn of it");
    this.#ticker ??= repeat(() => this.#tick(), {
      everyMs: TICK_MS,
      onFault: (error) => this.#options.logger.error({ err: error }, "this is a bug in svcproxy, and was passed over"),
    });
  }

  /** Its endpoints are otherwise now, or it has left the plan. */
  forget(key: string): void {
    this.#frontends.delete(key);
    if (this.#frontends.size === 0) this.stop();
  }

  stop(): void {
    clearInterval(this.#ticker);
    this.#ticker = undefined;
  }

  #tell(key: string, text: string): void {
    const nowMs = performance.now();
    for (const [told, atMs] of this.#toldAtMs) if (nowMs - atMs > QUIET_MS) this.#toldAtMs.delete(told);
    if (this.#toldAtMs.has(key)) return;
    this.#toldAtMs.set(key, nowMs);
    this.#options.logger.warn({ frontend: key }, text);
  }

  #tick(): void {
    const nowMs = performance.now();
    for (const [key, frontend] of this.#frontends) {
      if (this.#probes >= MAX_PROBES) return;
      if (!frontend.isProbed && frontend.probeAtMs <= nowMs) void this.#probe(key, frontend);
    }
  }

  async #probe(key: string, frontend: RefusedFrontend): Promise<void> {
    const endpoints = this.#options.endpointsOf(key);
    if (endpoints === undefined) {
      this.forget(key);
      return;
    }
    frontend.isProbed = true;
    const room = Math.max(1, MAX_PROBES - this.#probes);
    const refuse = await Promise.all(endpoints.slice(0, room).map((endpoint) => this.#refuses(endpoint)));
    frontend.isProbed = false;
    if (this.#frontends.get(key) !== frontend) return;
    if (refuse.every(Boolean)) {
      frontend.waitMs = Math.min(LONGEST_PROBE_MS, frontend.waitMs * 2);
      frontend.probeAtMs = performance.now() + frontend.waitMs;
      return;
    }
    this.forget(key);
    this.#options.onAnswer(key);
  }

  /** By an empty datagram, which a host without a listener answers with an ICMP error. */
  async #refuses(endpoint: SocketAddress): Promise<boolean> {
    this.#probes++;
    let socket: UdpHandle | undefined;
    try {
      socket = this.#options.datagrams.connect(endpoint, PROBE_BUFFER_BYTES);
      return await this.#isRefused(socket);
    } catch {
      // This host cannot send there now: nobody could be served.
      return true;
    } finally {
      socket?.close();
      this.#probes--;
    }
  }

  #isRefused(socket: UdpHandle): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, REFUSAL_WAIT_MS, false);
      const end = (isRefused: boolean) => {
        clearTimeout(timer);
        resolve(isRefused);
      };
      socket.onmessage = (count) => {
        if (count !== 0) end(count < 0);
      };
      socket.recvStart();
      if (this.#sender.sendConnected(socket, EMPTY) !== undefined) end(true);
    });
  }
}

const EMPTY = new Uint8Array();
