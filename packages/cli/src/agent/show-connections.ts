import { askAgent, queryInstance } from "@svcproxy/agent";
import {
  type Connection,
  type ConnectionQuestion,
  type Connections,
  isConnections,
  isNamed,
  portsNamed,
  readTrackedConnections,
  serviceName,
  thisMachine,
} from "@svcproxy/host";
import { EnvironmentError, type InputError, inputError, nearestWord } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { renderTable } from "../command-line/text-table.ts";
import { readHostPlan } from "../source/read-topology.ts";
import type { TopologyFlags } from "../source/topology-input.ts";

export interface ConnectionsFlags extends TopologyFlags {
  readonly host?: string;
  readonly foreignHost?: true;
  readonly limit: number;
  readonly json?: true;
}

/** Who is connected now by a service: as the agent knows it, else the userspace proxy, else the kernel by the topology's addresses. */
export async function showConnections(
  context: CommandContext,
  {
    service,
    files,
    flags,
  }: { readonly service: string; readonly files: readonly string[]; readonly flags: ConnectionsFlags },
): Promise<ExitCode> {
  const question = { service, limit: flags.limit };
  const found =
    (files.length > 0 ? undefined : await askRunningAgent(question)) ??
    (await askUserspace(question)) ??
    (await readByTopology(context, { question, files, flags }));
  if (flags.json === true) await context.print(renderJson(found));
  else if (found.connections.length > 0) await context.print(`${connectionsTable(found.connections)}\n`);
  sayWhatIsMissing(context, found, service);
  return 0;
}

function sayWhatIsMissing(
  context: CommandContext,
  { connections, total, unknown }: Connections,
  service: string,
): void {
  if (total === 0) context.note(`svcproxy: nobody is connected by ${JSON.stringify(service)}`);
  else if (connections.length < total)
    context.note(`svcproxy: ${connections.length} of ${total} connections; --limit shows more`);
  for (const { fact, because } of unknown) context.note(`svcproxy: ${fact}: ${because}`);
}

/** @returns undefined where none runs @throws InputError UNKNOWN_SERVICE */
async function askRunningAgent({ service, limit }: ConnectionQuestion): Promise<Connections | undefined> {
  const query = new URLSearchParams({ service, limit: String(limit) });
  const answer = await orNotRunning(askAgent(`GET /v1/connections?${query}`));
  if (answer === undefined) return undefined;
  const { code, value } = answer;
  if (code === 200 && isConnections(value)) return value;
  if (code === 404) {
    throw inputError("UNKNOWN_SERVICE", `The agent serves no service ${JSON.stringify(service)}`, {
      hint: "svcproxy status --json | jq '.ports[].service' lists them",
    });
  }
  if (code === 503 && typeof value === "object" && value !== null && "error" in value) {
    throw new EnvironmentError(
      "CONNTRACK_FAILED",
      `The agent cannot tell: ${value.error}`,
      "hint" in value ? { hint: String(value.hint) } : {},
    );
  }
  throw new EnvironmentError("OTHER_VERSION", "Cannot show connections: the running agent is of another version");
}

/** @returns undefined where none runs @throws InputError UNKNOWN_SERVICE */
async function askUserspace(question: ConnectionQuestion): Promise<Connections | undefined> {
  const found = await orNotRunning(queryInstance({}, { kind: "connections", ...question }));
  if (found === undefined) return undefined;
  if (!isConnections(found)) {
    throw new EnvironmentError("OTHER_VERSION", "Cannot show connections: the running proxy is of another version");
  }
  if (found.total === 0) refuseUnknown(question.service, await servedByUserspace());
  return found;
}

async function servedByUserspace(): Promise<readonly string[]> {
  const served = await queryInstance({}, { kind: "served" });
  if (typeof served !== "object" || served === null || !("frontends" in served)) return [];
  const { frontends } = served;
  if (!Array.isArray(frontends)) return [];
  return frontends.flatMap((frontend: unknown) =>
    typeof frontend === "object" && frontend !== null && "service" in frontend ? [String(frontend.service)] : [],
  );
}

async function readByTopology(
  context: CommandContext,
  {
    question,
    files,
    flags,
  }: { readonly question: ConnectionQuestion; readonly files: readonly string[]; readonly flags: ConnectionsFlags },
): Promise<Connections> {
  if (files.length === 0 && context.defaultSource === undefined) throw nobodyToAsk();
  const { plan } = await readHostPlan(context, files, flags);
  if (portsNamed(plan, question.service).length === 0) refuseUnknown(question.service, plan.ports.map(serviceName));
  return readTrackedConnections(thisMachine, { plan, question, signal: context.signal });
}

function nobodyToAsk(): InputError {
  return inputError(
    "TOPOLOGY_REQUIRED",
    "Nobody can say which addresses the service has: neither svcproxy run nor svcproxy userspace answers here",
    { hint: "Name the topology: svcproxy connections shop/web cloud.yaml --host web1" },
  );
}

/** @throws InputError UNKNOWN_SERVICE */
function refuseUnknown(name: string, known: readonly string[]): void {
  if (known.some((service) => isNamed(service, name))) return;
  const near = nearestWord(name, [...known, ...known.map((service) => service.replace(/^.*\//, ""))]);
  throw inputError("UNKNOWN_SERVICE", `There is no service ${JSON.stringify(name)}`, {
    ...(near === undefined ? {} : { hint: `Did you mean ${JSON.stringify(near)}?` }),
  });
}

async function orNotRunning<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof EnvironmentError && error.code === "NOT_RUNNING") return undefined;
    throw error;
  }
}

function connectionsTable(connections: readonly Connection[]): string {
  const titles = ["SERVICE", "CLIENT", "VIP", "ENDPOINT", "STATE", "AGE", "FROM CLIENT", "TO CLIENT"];
  const rows = connections.map((connection) => [
    `${connection.service}${connection.portName === "" ? "" : ` ${connection.portName}`}`,
    connection.client,
    `${connection.protocol} ${connection.vip}`,
    connection.endpoint ?? "",
    connection.state,
    connection.ageSeconds === undefined ? "" : describeAge(connection.ageSeconds),
    describeBytes(connection.bytesFromClient),
    describeBytes(connection.bytesToClient),
  ]);
  return renderTable(titles, rows);
}

function describeAge(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.floor(minutes / 60)} h`;
}

function describeBytes(bytes: number | undefined): string {
  return bytes === undefined ? "" : `${bytes} B`;
}
