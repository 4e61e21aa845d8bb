import type { Machine } from "@svcproxy/host";
import { UserspaceDataPath } from "@svcproxy/userspace";
import type { Logger } from "pino";
import type { Agent } from "../../agent.ts";
import type { Source } from "../../source.ts";
import { ServiceCounterReader } from "../counters/service-counters.ts";
import type { KeptDataPath } from "../data-path/choose-data-path.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";
import type { InForce } from "../in-force.ts";
import { AgentConnections } from "./agent-connections.ts";
import type { AskedAgent } from "./agent-pages.ts";
import { readAgentRules } from "./agent-rules.ts";
import { TopologyTeller } from "./told-topology.ts";

export interface QuestionOptions {
  readonly agent: Agent;
  readonly source: Source;
  readonly dataPath: KeptDataPath;
  readonly inForce: InForce;
  readonly machine: Machine;
  readonly status: () => HostAgentStatus;
  readonly findings: () => Promise<void>;
  /** So many service ports have metrics of their own at most. */
  readonly serviceSeries: number;
  readonly countsTraffic: boolean;
  readonly logger: Logger;
  readonly signal: AbortSignal;
}

/** Counters of all services are read for who looks at the page: at most for this part of a core. */
const PAGE_SHARE = 0.02;

/** What the pages of a host's agent may ask, and who answers it. */
export function answerQuestions(options: QuestionOptions): AskedAgent {
  const { agent, source, inForce, machine, dataPath, status, findings, serviceSeries, countsTraffic, logger, signal } =
    options;
  const asked = { machine, dataPath, plan: () => inForce.plan, signal };
  const connections = new AgentConnections(asked);
  const counters = new ServiceCounterReader({
    ...asked,
    limit: serviceSeries,
    countsTraffic,
    logger,
    continues: () => inForce.continues,
  });
  const all = new ServiceCounterReader({
    ...asked,
    ...{ limit: Number.POSITIVE_INFINITY, share: PAGE_SHARE, countsTraffic, logger },
  });
  const teller = new TopologyTeller();
  return {
    status,
    findings,
    confirm: () => confirm(options),
    services: async () => {
      const services = await counters.read();
      return { services, plan: inForce.plan };
    },
    work: async () => ({
      ...inForce.measured,
      objectChanges: source.objectChanges?.(),
      requests: source.requests?.(),
      cleanupFailureCount: agent.cleanupFailureCount,
      generations: dataPath instanceof UserspaceDataPath ? await dataPath.generations() : [],
      draining: dataPath instanceof UserspaceDataPath ? await dataPath.draining() : undefined,
    }),
    tellServices: (name) => inForce.tellServices(name, agent.status().ports),
    connections: (question) => connections.ask(question),
    counters: () => all.read(),
    tellTopology: (since) => {
      const [topology, host] = [agent.topology, inForce.plan?.host.name];
      return topology === undefined || host === undefined ? undefined : teller.tell(topology, { host, since });
    },
    rules: () => readAgentRules(machine, { signal }),
  };
}

async function confirm({ agent, source, logger }: QuestionOptions): Promise<string | undefined> {
  const released = source.confirm?.();
  const confirmed = await agent.confirm();
  const texts = [released, confirmed?.problem.text].filter((text) => text !== undefined);
  if (texts.length === 0) return undefined;
  const text = texts.join("; ");
  logger.info({ confirmed: text }, "what was held back is confirmed");
  return text;
}
