import { askAgent, type HostAgentStatus, isHostAgentStatus, type ServiceCounters } from "@svcproxy/agent";
import { isConnections } from "@svcproxy/host";
import type { FollowedSource, PageConnections, ServiceState, ShownService, Viewed, ViewedHost } from "@svcproxy/page";
import { EnvironmentError } from "@svcproxy/topology";
import { COUNTED_CONNECTIONS, pageConnections } from "./page-connections.ts";
import { countsReading } from "./service-totals.ts";

/** What the running agent keeps, asked by its socket. */
export function followAgent(): FollowedSource {
  return {
    read: readAgent,
    hasCounters: true,
    signature: async () => {
      const { busySince: _busy, ...status } = await readStatus();
      return JSON.stringify([status.planDigest, status.state, status.ports.map(({ state }) => state), status.problems]);
    },
    connections: (_viewed, service) => readConnections(service),
    counts: async ({ hosts: [host] }) => {
      const { code, value } = await askAgent("GET /v1/counters");
      return code === 200 && host !== undefined && isCounters(value) ? countsReading(host.name, value) : undefined;
    },
  };
}

async function readStatus(): Promise<HostAgentStatus> {
  const { value } = await askAgent("GET /v1/status");
  if (isHostAgentStatus(value)) return value;
  throw otherVersion();
}

async function readAgent(): Promise<Viewed> {
  const status = await readStatus();
  const { code, value } = await askAgent("GET /v1/view");
  if (code === 503)
    throw new EnvironmentError("NOT_RUNNING", "The agent has no plan yet: it is still reading its source", {
      hint: "svcproxy status shows how it stands",
    });
  if (!isAgentView(value)) throw otherVersion();
  const { topology, host, hostState, texts, machineAddresses } = value;
  const { lastHeardAt } = status.source;
  const viewed: ViewedHost = {
    name: host,
    dataPath: status.dataPath,
    rules: status.dataPath === "userspace" ? "none" : "read",
    state: status.state,
    ...(status.state === "stale" && lastHeardAt !== undefined ? { staleSince: lastHeardAt } : {}),
    hostState,
    texts,
    machineAddresses,
    states: statesOf(status),
    problems: status.problems,
  };
  return {
    source: `the agent of ${host} (pid ${status.pid}), which follows ${status.source.name}`,
    takenAt: new Date().toISOString(),
    topology,
    hosts: [viewed],
    problems: [],
  };
}

type AgentView = Pick<Viewed, "topology"> &
  Pick<ViewedHost, "hostState" | "texts" | "machineAddresses"> & { readonly host: string };

/** Of an agent of this version; the rest it has checked itself. */
function isAgentView(value: unknown): value is AgentView {
  return (
    typeof value === "object" &&
    value !== null &&
    ["topology", "host", "hostState", "texts", "machineAddresses"].every((name) => name in value)
  );
}

/** A service is as well as the worst of its ports. */
function statesOf({ ports }: HostAgentStatus): Readonly<Record<string, ServiceState>> {
  const states = new Map<string, ServiceState>();
  for (const { service, state, problem, since } of ports) {
    if (states.get(service)?.kind === "failed" || (states.has(service) && state === "in-force")) continue;
    states.set(service, { kind: state, since: String(since), ...(problem === undefined ? {} : { why: problem.text }) });
  }
  return Object.fromEntries(states);
}

async function readConnections({ host, id }: ShownService): Promise<PageConnections | undefined> {
  const query = new URLSearchParams({ service: id, limit: String(COUNTED_CONNECTIONS) });
  const { code, value } = await askAgent(`GET /v1/connections?${query}`);
  return code === 200 && isConnections(value) ? pageConnections({ host, id }, value) : undefined;
}

function isCounters(value: unknown): value is Pick<ServiceCounters, "services"> & { readonly readAt: string } {
  return typeof value === "object" && value !== null && "services" in value && "readAt" in value;
}

function otherVersion(): EnvironmentError {
  return new EnvironmentError("OTHER_VERSION", "Cannot show what the agent keeps: it is of another version");
}
