import type { ServicePortStatus } from "@svcproxy/host";
import { formatProblem, visible } from "@svcproxy/topology";
import type { RefusedStatus } from "../../agent-status.ts";
import type { HostAgentStatus, KernelStatus } from "../host-agent-status.ts";
import type { ServiceDetail } from "../service-book.ts";

export interface RenderOptions {
  /** In milliseconds since 1970. */
  readonly now: number;
  /** `NAME` or `NAMESPACE/NAME`: this one alone, with each of its ports; else those that are not in force. */
  readonly service?: string | undefined;
  /** What the agent told of that one. */
  readonly details?: readonly ServiceDetail[] | undefined;
}

/** How many that are not in force are listed. */
const LISTED = 20;
/** So many problems are; each has a line or two. */
const LISTED_PROBLEMS = 50;

/** A status for people. */
export function renderHostAgentStatus(status: HostAgentStatus, { now, service, details }: RenderOptions): string {
  const { state, version, pid, dataPath, passedOver, source, applies } = status;
  const since = (time: string) => ago(now - Date.parse(time));
  const isHeld = status.held !== undefined;
  const lines = [
    `${state}: svcproxy ${version}, pid ${pid}, started ${since(status.startedAt)} ago`,
    `host       ${visible(status.host ?? "not known yet")}`,
    `source     ${visible(source.name)}${source.readAt === undefined ? "" : `, ${isHeld ? "held back" : "in force"} as read ${since(source.readAt)} ago`}`,
    ...(source.fault === undefined ? [] : [`           has a fault since ${since(source.fault.since)}`]),
    ...(source.refused ?? []).slice(0, LISTED).map((refused) => describeRefused(refused, since)),
    `data path  ${dataPath}${passedOver.length === 0 ? "" : ` (${passedOver.join("; ")})`}`,
    ...(status.betterDataPath === undefined
      ? []
      : [`           ${status.betterDataPath} could be used by now: a restart takes it`]),
    `kernel     ${describeKernel(status.kernel, since)}`,
    `applied    ${applies.lastAt === undefined ? "nothing yet" : `${applies.count} times, last ${since(applies.lastAt)} ago`}`,
    `services   ${describeServices(status, now)}`,
    ...(status.looked === undefined
      ? []
      : [`looked     ${since(status.looked.at)} ago at what keeps services from clients`]),
    ...(status.generations ?? []).map(
      ({ pid, takenOverAt, connections, udpSessions, isDraining }) =>
        `older      pid ${pid}, taken over ${since(takenOverAt)} ago: ${connections} connections, ${udpSessions} UDP sessions${isDraining ? ", draining" : ""}`,
    ),
    ...(status.retryAt === undefined ? [] : [`retry      in ${ago(Date.parse(status.retryAt) - now)}`]),
    ...(status.held === undefined ? [] : [`held       a change, since ${since(status.held.since)}: svcproxy confirm`]),
  ];
  const ports = service === undefined ? unwell(status.ports) : portsOf(status.ports, service);
  const told =
    details === undefined
      ? ports.map((port) => describePort(port, since))
      : details.flatMap((detail) => [describePort(detail, since), ...describeDetail(detail, since)]);
  const more = status.problems.length - LISTED_PROBLEMS;
  const problems = [
    ...status.problems.slice(0, LISTED_PROBLEMS).map((problem) => formatProblem(problem)),
    ...(more > 0 ? [`and ${more} more problems: --json has them all`] : []),
  ];
  return [...lines, ...told, ...problems].map((line) => `${line.split("\n").map(visible).join("\n")}\n`).join("");
}

function describeRefused({ entry, since: time, isKept }: RefusedStatus, since: (time: string) => string): string {
  return `           ${visible(entry)}: refused for ${since(time)}, ${isKept ? "its last good state stays" : "not served"}`;
}

/** Of a service, as `NAME` or `NAMESPACE/NAME`. */
export function portsOf(ports: readonly ServicePortStatus[], name: string): readonly ServicePortStatus[] {
  return ports.filter(({ service }) => service === name || service.endsWith(`/${name}`));
}

function unwell(ports: readonly ServicePortStatus[]): readonly ServicePortStatus[] {
  return ports.filter(({ state }) => state !== "in-force").slice(0, LISTED);
}

/** So many endpoints are listed. */
const LISTED_ENDPOINTS = 50;

function describeDetail(
  { frontends, endpoints, asItIsSince, lastProblem, problem }: ServiceDetail,
  since: (time: string) => string,
): readonly string[] {
  const more = endpoints.length - LISTED_ENDPOINTS;
  return [
    `      dialled    ${frontends.map(({ kind, address }) => `${address} (${kind})`).join(", ")}`,
    ...(endpoints.length === 0 ? ["      endpoints  none"] : []),
    ...endpoints
      .slice(0, LISTED_ENDPOINTS)
      .map((endpoint, index) => `      ${index === 0 ? "endpoints" : "         "}  ${describeEndpoint(endpoint)}`),
    ...(more > 0 ? [`                 and ${more} more: --json has them all`] : []),
    `      unchanged  for ${since(asItIsSince)}`,
    // One that there is now stands beside the state.
    ...(lastProblem === undefined || problem !== undefined
      ? []
      : [`      last problem ${since(lastProblem.at)} ago: ${lastProblem.text}`]),
  ];
}

function describeEndpoint({ address, pod, host, isHere, ready }: ServiceDetail["endpoints"][number]): string {
  const facts = [
    ...(pod === undefined ? [] : [visible(pod)]),
    ...(isHere ? ["on this host"] : host === undefined ? [] : [`on ${visible(host)}`]),
    ...(ready ? [] : ["not ready"]),
  ];
  return facts.length === 0 ? address : `${address} (${facts.join(", ")})`;
}

function describePort(
  { service, portName, protocol, port, family, state, since: time, problem }: ServicePortStatus | ServiceDetail,
  since: (time: string) => string,
): string {
  const name = portName === "" ? "" : ` (${portName})`;
  const why = problem === undefined ? "" : `: ${problem.text}`;
  // Over the socket a date is text.
  return `  ${visible(service)} ${protocol} ${port}${visible(name)} IPv${family}: ${state} for ${since(String(time))}${why}`;
}

function describeKernel(
  { notice, lookEveryMs, mended, lastMended }: KernelStatus,
  since: (time: string) => string,
): string {
  const how =
    notice === "told"
      ? "tells of each change"
      : notice === "looking"
        ? `looked at every ${ago(lookEveryMs ?? 0)}`
        : "nothing of ours yet";
  if (lastMended === undefined) return `${how}; nothing had to be mended`;
  const { program = "another program", pid, what, at } = lastMended;
  const who = pid === undefined ? program : `${program} (pid ${pid})`;
  return `${how}; mended ${mended} times, last ${since(at)} ago after ${who}: ${what.join(", ")}`;
}

function ago(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

function describeServices(status: HostAgentStatus, now: number): string {
  const { applies, draining, ports } = status;
  if (draining !== undefined) return describeDraining(draining, now);
  if (applies.lastAt === undefined) return servedBefore(status);
  return `${ports.filter(({ state }) => state === "in-force").length} of ${ports.length} ports in force`;
}

function describeDraining(
  { connections, udpSessions, endsAt }: NonNullable<HostAgentStatus["draining"]>,
  now: number,
): string {
  const limit = endsAt === undefined ? "" : `, for ${ago(Date.parse(endsAt) - now)} at most`;
  return `no new connections; ${connections} connections and ${udpSessions} UDP sessions are left${limit}`;
}

/** Nothing was changed yet. */
function servedBefore({ held }: HostAgentStatus): string {
  const vips = held?.lost.vips.of ?? 0;
  return vips === 0 ? "as before the start" : `as before the start, ${vips} VIPs`;
}
