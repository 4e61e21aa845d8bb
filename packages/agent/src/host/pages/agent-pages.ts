import { createHash } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import type { ConnectionQuestion, Connections } from "@svcproxy/host";
import { EnvironmentError } from "@svcproxy/topology";
import { JSON_TYPE, type Page, type Pages, TEXT } from "../../observe/page-server.ts";
import { METRICS_CONTENT_TYPE, renderMetrics } from "../../observe/render-metrics.ts";
import type { ServiceCounters } from "../counters/service-counters.ts";
import type { MeasuredServices } from "../counters/service-metrics.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import { AGENT_METRICS } from "../metrics/agent-metrics.ts";
import type { MeasuredWork } from "../metrics/measured-work.ts";
import type { ServiceDetail } from "../service-book.ts";
import type { AgentRules } from "./agent-rules.ts";
import { healthBody } from "./health-body.ts";
import { renderStatusz } from "./render-statusz.ts";
import type { ToldTopology } from "./told-topology.ts";

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
  /** @param since the `id` of what was told last @returns undefined before there was a plan */
  tellTopology(since: string | undefined): ToldTopology | undefined;
  /** @throws EnvironmentError where they cannot be read */
  rules(): Promise<AgentRules>;
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
      ["GET /healthz", async () => this.#health("healthz", this.#healthz)],
      ["GET /livez", async () => this.#health("livez", this.#livez)],
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
      ["GET /v1/status-digest", async () => this.#statusDigest()],
      ["GET /v1/topology", async (query) => this.#topology(query)],
      ["GET /v1/rules", () => orWhyNot(async () => compactJson(await this.#agent.rules()))],
      ["GET /v1/counters", (query) => this.#counters(query)],
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

  #statusDigest(): Page {
    // Whoever asks for this again and again wants to know what is found, too.
    void this.#agent.findings();
    return json(200, { digest: digestOfStatus(this.#agent.status()) });
  }

  /** Who knows them, by the `readAt` that was told, is told nothing but that. */
  async #counters(query: URLSearchParams): Promise<Page> {
    const counters = await this.#agent.counters();
    const isKnown = counters?.readAt.toISOString() === query.get("since");
    return compactJson((isKnown ? { ...counters, services: [] } : counters) ?? null);
  }

  async #wholeStatus(): Promise<HostAgentStatus> {
    const { generations, draining } = await this.#agent.work();
    return {
      ...this.#agent.status(),
      ...(generations.length === 0 ? {} : { generations }),
      ...(draining === undefined ? {} : { draining }),
    };
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
    return orWhyNot(async () => {
      const found = await this.#agent.connections({ service, limit: Math.min(limit, MOST_CONNECTIONS) });
      return found === undefined ? json(404, { error: "no such service is in force" }) : json(200, found);
    });
  }

  /** As kube-proxy has it: `/healthz` is for balancers too, which are to leave a node that is about to go; `/livez` is about us alone. */
  #health(page: "healthz" | "livez", counts: Map<number, number>): Page {
    const { isWell, body } = healthBody(this.#agent.status(), { page, now: new Date() });
    const code = isWell ? 200 : 503;
    counts.set(code, (counts.get(code) ?? 0) + 1);
    return { code, type: JSON_TYPE, body: `${JSON.stringify(body)}\n` };
  }

  #topology(query: URLSearchParams): Page {
    const told = this.#agent.tellTopology(query.get("since") ?? undefined);
    if (told === undefined) return json(503, { error: "no plan is in force yet" });
    return compactJson(told);
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

/** Another one where the plan, or how it stands, is another: who follows it asks for this many times before it asks for the megabytes. */
function digestOfStatus({ planDigest, dataPath, state, ports, problems }: HostAgentStatus): string {
  const hash = createHash("sha256").update(JSON.stringify([planDigest, dataPath, state, problems]));
  for (const port of ports) hash.update(`${port.state} `);
  return hash.digest("base64url");
}

/** Of what programs read alone, and may be megabytes. */
function compactJson(value: unknown): Page {
  return { code: 200, type: JSON_TYPE, body: JSON.stringify(value) };
}

/** What this machine refuses is told to who asks. */
async function orWhyNot(answer: () => Promise<Page>): Promise<Page> {
  try {
    return await answer();
  } catch (error) {
    if (!(error instanceof EnvironmentError)) throw error;
    return json(503, { error: error.message, ...(error.hint === undefined ? {} : { hint: error.hint }) });
  }
}
