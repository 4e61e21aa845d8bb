import {
  type AgentRules,
  askAgent,
  type HostAgentStatus,
  isHostAgentStatus,
  type ServiceCounters,
  type ToldTopology,
  topologyOf,
} from "@svcproxy/agent";
import { isConnections } from "@svcproxy/host";
import type {
  CountsReading,
  FollowedSource,
  Listed,
  PageConnections,
  ServiceState,
  ShownService,
} from "@svcproxy/page";
import { EnvironmentError, type Topology } from "@svcproxy/topology";
import { COUNTED_CONNECTIONS, pageConnections } from "./page-connections.ts";
import { countsReading } from "./service-totals.ts";

/** What the running agent keeps, asked by its socket. */
export function followAgent(): FollowedSource {
  let told: KnownTopology | undefined;
  let counted: (CountsReading & { readonly readAt: string }) | undefined;
  return {
    read: async () => {
      const status = await readStatus();
      told = await readTopology(told);
      return listedOf(status, told);
    },
    whole: async ({ hosts, ...listed }) => {
      const rules = await readRules();
      return { ...listed, hosts: hosts.map((host) => ({ ...host, ...rules })) };
    },
    signature: async () => {
      const { value } = await askAgent("GET /v1/status-digest");
      if (!isDigest(value)) throw otherVersion();
      return value.digest;
    },
    connections: (_listed, service) => readConnections(service),
    counts: async ({ hosts: [host] }) => {
      const { code, value } = await askAgent(
        `GET /v1/counters?${new URLSearchParams({ since: counted?.readAt ?? "" })}`,
      );
      if (code !== 200 || host === undefined || !isCounters(value)) return undefined;
      if (value.readAt !== counted?.readAt) counted = { ...countsReading(host.name, value), readAt: value.readAt };
      return counted;
    },
  };
}

async function readStatus(): Promise<HostAgentStatus> {
  const { value } = await askAgent("GET /v1/status");
  if (isHostAgentStatus(value)) return value;
  throw otherVersion();
}

interface KnownTopology {
  readonly topology: Topology;
  readonly host: string;
  readonly id: string;
}

/** An agent that was asked before tells only what is otherwise; another one tells all. */
async function readTopology(known: KnownTopology | undefined): Promise<KnownTopology> {
  const query = known === undefined ? "" : `?${new URLSearchParams({ since: known.id })}`;
  const { code, value } = await askAgent(`GET /v1/topology${query}`);
  if (code === 503)
    throw new EnvironmentError("NOT_RUNNING", "The agent has no plan yet: it is still reading its source", {
      hint: "svcproxy status shows how it stands",
    });
  if (!isToldTopology(value)) throw otherVersion();
  const { id, host, since } = value;
  return { id, host, topology: topologyOf(value, since === undefined ? undefined : known?.topology) };
}

async function readRules(): Promise<AgentRules> {
  const { code, value } = await askAgent("GET /v1/rules");
  if (code === 503 && isRefusal(value))
    throw new EnvironmentError("NEEDS_ROOT", `The agent cannot read its machine: ${value.error}`);
  if (!isAgentRules(value)) throw otherVersion();
  return value;
}

function listedOf(status: HostAgentStatus, { topology, host }: KnownTopology): Listed {
  const { lastHeardAt } = status.source;
  return {
    source: `the agent of ${host} (pid ${status.pid}), which follows ${status.source.name}`,
    takenAt: new Date().toISOString(),
    topology,
    hosts: [
      {
        name: host,
        dataPath: status.dataPath,
        rules: status.dataPath === "userspace" ? "none" : "read",
        state: status.state,
        ...(status.state === "stale" && lastHeardAt !== undefined ? { staleSince: lastHeardAt } : {}),
        states: statesOf(status),
        problems: status.problems,
      },
    ],
    problems: [],
  };
}

/** Of an agent of this version; the rest it has checked itself. */
function isToldTopology(value: unknown): value is ToldTopology {
  return hasAll(value, ["id", "host", "hosts", "services", "source", "node"]);
}

function isAgentRules(value: unknown): value is AgentRules {
  return hasAll(value, ["hostState", "texts", "machineAddresses"]);
}

function isDigest(value: unknown): value is { readonly digest: string } {
  return hasAll(value, ["digest"]);
}

function isRefusal(value: unknown): value is { readonly error: string } {
  return hasAll(value, ["error"]);
}

function hasAll(value: unknown, names: readonly string[]): boolean {
  return typeof value === "object" && value !== null && names.every((name) => name in value);
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
