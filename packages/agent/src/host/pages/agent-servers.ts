import type { Problem } from "@svcproxy/topology";
import type { Logger } from "pino";
import { type PagePlace, type Pages, servePages } from "../../observe/page-server.ts";
import type { AgentPages } from "./agent-pages.ts";
import { KeptSocket } from "./kept-socket.ts";
import { PatientServer } from "./patient-server.ts";

export interface Address {
  readonly address: string;
  readonly port: number;
}

export interface SocketPlace {
  readonly path: string;
  readonly group: number | undefined;
  /** See `KeptSocket`. */
  readonly onLost: () => Promise<void>;
}

/** Where the pages of an agent are served; undefined: nowhere. */
export interface AgentPlaces {
  readonly socket: SocketPlace;
  readonly healthAddress: Address | undefined;
  readonly metricsAddress: Address | undefined;
}

const PORT_HINT = "Give another address with --healthz-bind-address or --metrics-bind-address, or none to do without";

/** Serves an agent's pages: on its socket, and on ports for probes and scrapers, which another program may still have. */
export class AgentServers implements AsyncDisposable {
  readonly #pages: AgentPages;
  readonly #logger: Logger;
  readonly #waitsForPorts: boolean;
  readonly #opened = new AsyncDisposableStack();
  readonly #onPorts: PatientServer[] = [];

  /** @param options.waitsForPorts whether a port that another program has is waited for, instead of ending the start */
  constructor({
    pages,
    logger,
    waitsForPorts,
  }: {
    readonly pages: AgentPages;
    readonly logger: Logger;
    readonly waitsForPorts: boolean;
  }) {
    this.#pages = pages;
    this.#logger = logger;
    this.#waitsForPorts = waitsForPorts;
  }

  /** Ports that are still waited for. */
  get problems(): readonly Problem[] {
    return this.#onPorts.flatMap(({ problem }) => problem ?? []);
  }

  /** Those that it serves on. */
  get ports(): ReadonlySet<number> {
    return new Set(this.#onPorts.flatMap(({ port }) => port ?? []));
  }

  /** @throws EnvironmentError AGENT_SOCKET, METRICS_ADDRESS */
  async open({ socket, healthAddress, metricsAddress }: AgentPlaces): Promise<void> {
    const { path, group, onLost } = socket;
    const kept = new KeptSocket({
      ...{ path, onLost, logger: this.#logger },
      open: () => this.#serve(this.#pages.socket(), { kind: "socket", path, group }),
    });
    this.#opened.use(kept);
    await kept.start();
    if (healthAddress !== undefined) await this.#openPort(this.#pages.health(), { at: healthAddress, what: "health" });
    if (metricsAddress !== undefined)
      await this.#openPort(this.#pages.metrics(), { at: metricsAddress, what: "metrics" });
  }

  #serve(pages: Pages, place: PagePlace) {
    const onProblem = (err: unknown) => this.#logger.warn({ err }, "a question could not be answered");
    return servePages(pages, { place, onProblem });
  }

  async #openPort(pages: Pages, { at, what }: { readonly at: Address; readonly what: string }): Promise<void> {
    const server = new PatientServer({
      waits: this.#waitsForPorts,
      open: () => this.#serve(pages, { kind: "port", ...at, hint: PORT_HINT }),
      onWait: ({ code, text }) => this.#logger.warn({ code }, `${text}; it is taken once it is free`),
      onOpened: ({ port }) => this.#logger.info({ address: at.address, port }, `${what} on port ${port}`),
    });
    this.#opened.use(server);
    this.#onPorts.push(server);
    await server.start();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#opened.disposeAsync();
  }
}
