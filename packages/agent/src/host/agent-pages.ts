import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionQuestion, Connections } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { METRICS_CONTENT_TYPE, renderMetrics } from "../observe/render-metrics.ts";
import { AGENT_METRICS } from "./agent-metrics.ts";
import type { AgentView } from "./agent-view.ts";
import type { ServiceCounters } from "./counters/service-counters.ts";
import type { MeasuredServices } from "./counters/service-metrics.ts";
import { type HealthBody, healthBody } from "./health-body.ts";
import type { HostAgentStatus } from "./host-agent-status.ts";
import type { MeasuredWork } from "./measured-work.ts";
import { JSON_TYPE, type Page, type Pages, TEXT } from "./page-server.ts";
import { renderStatusz } from "./render-statusz.ts";
import type { ServiceDetail } from "./service-book.ts";

/** What the pages ask of an agent. */
export interface AskedAgent {
  status(): HostAgentStatus;
  /** Looks anew what keeps services from their clients, where the last look is old. Never rejects. */
  findings(): Promise<void>;
  /** Carries out what is held back. @returns what it said; undefined: nothing was held back */
  confirm(): Promise<string | undefined>;
  services(): Promise<MeasuredServices>;
  work(): Promise<MeasuredWork>;
  /** Of the services that `NAME` or `NAMESPACE/NAME` means; none: no such service is in force. */
  tellServices(name: string): readonly ServiceDetail[];
  /** @returns undefined where no such service is in force */
  connections(question: ConnectionQuestion): Promise<Connections | undefined>;
  /** Of all services; undefined where they are not known. */
  counters(): Promise<ServiceCounters | undefined>;
  /** @returns undefined before there was a plan */
  view(): Promise<AgentView | undefined>;
}

/** So many connections are told where nobody says how many, and at most. */
const CONNECTIONS = 100;
const MOST_CONNECTIONS = 100_000;

const FINDINGS_WAIT_MS = 4_000;

/** The pages of an agent: for probes, for scrapers, and on its socket. */
export class AgentPages {
  readonly #agent: AskedAgent;
  readonly #healthz = new Map<number, number>();
  readonly #livez = new Map<number, number>();

  constructor(agent: AskedAgent) {
    this.#agent = agent;
  }

  /** For probes; nothing that names services. */
  health(): Pages {
    return new Map([
      ["GET /healthz", async () => this.#health(this.#healthz, ({ healthy, nodeEligible }) => healthy && nodeEligible)],
      ["GET /livez", async () => this.#health(this.#livez, ({ healthy }) => healthy)],
    ]);
  }

  metrics(): Pages {
    const pages = new Map<string, (query: URLSearchParams) => Promise<Page>>([
      ["GET /metrics", () => this.#metrics()],
      ["GET /proxyMode", async () => ({ code: 200, type: TEXT, body: this.#agent.status().dataPath })],
      ["GET /v1/status", async () => json(200, await this.#wholeStatus())],
      ...this.health(),
    ]);
    const paths = [...pages.keys(), "GET /statusz"].map((key) => key.split(" ")[1] ?? "");
    pages.set("GET /statusz", async () => ({
      code: 200,
      type: TEXT,
      body: renderStatusz(this.#agent.status(), { now: new Date(), paths }),
    }));
    return pages;
  }

  /** Also what names clients, and what changes something: whoever may open the socket may do it. */
  socket(): Pages {
    return new Map<string, (query: URLSearchParams) => Promise<Page>>([
      ...this.metrics(),
      ["GET /v1/status", (query) => this.#status(query)],
      ["GET /v1/view", () => this.#view()],
      ["GET /v1/counters", async () => json(200, (await this.#agent.counters()) ?? null)],
      ["GET /v1/connections", (query) => this.#connections(query)],
      ["GET /v1/services", async (query) => this.#services(query)],
      [
        "POST /v1/confirm",
        async () => {
          const confirmed = await this.#agent.confirm();
          return confirmed === undefined
            ? json(409, { error: "no change is held back" })
            : json(200, { confirmed, state: this.#agent.status().state });
        },
      ],
    ]);
  }

  /** Who waits for findings gets those of a look that is not old, if it does not take too long. */
  async #status(query: URLSearchParams): Promise<Page> {
    const looked = this.#agent.findings();
    if (query.get("findings") === "new")
      await Promise.race([looked, sleep(FINDINGS_WAIT_MS, undefined, { ref: false })]);
    return json(200, await this.#wholeStatus());
  }

  async #wholeStatus(): Promise<HostAgentStatus> {
    const { generations } = await this.#agent.work();
    return { ...this.#agent.status(), ...(generations.length === 0 ? {} : { generations }) };
  }

  #services(query: URLSearchParams): Page {
    const service = query.get("service");
    if (service === null) return json(400, { error: "ask for /v1/services?service=NAMESPACE/NAME" });
    const services = this.#agent.tellServices(service);
    return services.length === 0 ? json(404, { error: "no such service is in force" }) : json(200, { services });
  }

  async #connections(query: URLSearchParams): Promise<Page> {
    const [service, limit] = [query.get("service"), Number(query.get("limit") ?? CONNECTIONS)];
    if (service === null || !Number.isInteger(limit) || limit < 1)
      return json(400, { error: "ask for /v1/connections?service=NAMESPACE/NAME&limit=100" });
    try {
      const found = await this.#agent.connections({ service, limit: Math.min(limit, MOST_CONNECTIONS) });
      return found === undefined ? json(404, { error: "no such service is in force" }) : json(200, found);
    } catch (error) {
      if (!(error instanceof EnvironmentError)) throw error;
      return json(503, { error: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) });
    }
  }

  /** As kube-proxy has it: `/healthz` is for balancers too, which are to leave a node that is about to go; `/livez` is about us alone. */
  #health(counts: Map<number, number>, isWell: (body: HealthBody) => boolean): Page {
    const body = healthBody(this.#agent.status(), new Date());
    const code = isWell(body) ? 200 : 503;
    counts.set(code, (counts.get(code) ?? 0) + 1);
    return { code, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` };
  }

  async #view(): Promise<Page> {
    const view = await this.#agent.view();
    if (view === undefined) return json(503, { error: "no plan is in force yet" });
    return { code: 200, type: JSON_TYPE, body: JSON.stringify(view) };
  }

  async #metrics(): Promise<Page> {
    const [services, work] = await Promise.all([this.#agent.services(), this.#agent.work()]);
    const measured = { ...services, ...work, status: this.#agent.status(), healthz: this.#healthz, livez: this.#livez };
    return { code: 200, type: METRICS_CONTENT_TYPE, body: await renderMetrics(AGENT_METRICS, measured) };
  }
}

function json(code: number, value: unknown): Page {
  return { code, type: JSON_TYPE, body: `${JSON.stringify(value, null, 2)}\n` };
}
