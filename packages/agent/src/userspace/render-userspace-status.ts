import { formatProblem, visible } from "@svcproxy/topology";
import { describeFailure, type EndpointStatus, type FrontendStatus, type ListenState } from "@svcproxy/userspace";
import type { UserspaceStatus } from "./userspace-status.ts";

/** A running proxy as tables for people. Times are told from `now`, milliseconds since 1970. */
export function renderUserspaceStatus(status: UserspaceStatus, now: number): string {
  return [
    headline(status, now),
    table(
      ["FRONTEND", "SERVICE", "KIND", "STATE", "ACTIVE", "TOTAL", "FAILED", "FROM CLIENTS", "TO CLIENTS"],
      status.frontends.map(frontendRow),
    ),
    table(
      ["ENDPOINT", "POD", "STATE", "ACTIVE", "TOTAL", "DIAL FAILURES", "RETRIES", "DIAL AVG"],
      status.endpoints.map(endpointRow),
    ),
    table(
      ["WORKER", "PID", "CONNECTIONS", "UDP SESSIONS", "MEMORY", "LOOP BUSY", "LOOP DELAY P99", "RESTARTS"],
      status.workers.map((worker) => [
        String(worker.index),
        String(worker.pid),
        String(worker.connections),
        String(worker.udpSessions),
        formatBytes(worker.residentBytes),
        `${Math.round(worker.loopUtilization * 100)} %`,
        `${worker.loopDelayP99Ms.toFixed(1)} ms`,
        String(worker.restarts),
      ]),
    ),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

function headline(status: UserspaceStatus, now: number): string {
  const { topology, limits, problems } = status;
  const word = status.state === "draining" ? "draining" : status.ready ? "ready" : "not ready";
  const lines = [
    `svcproxy ${status.version}, pid ${status.pid}: ${word}, host ${visible(status.host)}, up ${formatAge(now - Date.parse(status.startedAt))}`,
    `topology ${visible(topology.file)}, read ${formatAge(now - Date.parse(topology.loadedAt))} ago`,
    `limits: ${limits.connections} connections, ${limits.udpSessions} UDP sessions, ${limits.openFiles} open files`,
  ];
  for (const { pid, takenOverAt, connections, udpSessions, isDraining } of status.generations ?? []) {
    const what = `${connections} connections, ${udpSessions} UDP sessions`;
    const age = formatAge(now - Date.parse(takenOverAt));
    lines.push(`older generation: pid ${pid}, taken over ${age} ago, ${what}${isDraining ? ", draining" : ""}`);
  }
  if (topology.fault !== undefined) {
    const message = topology.fault.message.split("\n").map(visible).join("\n  ");
    lines.push(`the file has a fault, the old plan is served: ${message}`);
  }
  if (problems === undefined) lines.push(...vipLines(status));
  else if (topology.fault === undefined) lines.push(...problems.map(formatProblem));
  // Those of the file are told already.
  else lines.push(...problems.filter(({ at }) => at === undefined).map(formatProblem));
  return `${lines.join("\n")}\n`;
}

/** As a version that told no problems has them. */
function vipLines({ vipsNotLocal, vipCommand }: UserspaceStatus): readonly string[] {
  const vips = Object.entries(vipsNotLocal).map(([vip, reason]) => `${vip} (${visible(reason)})`);
  return [
    ...(vips.length > 0 ? [`VIPs that are not on this host: ${vips.join(", ")}`] : []),
    ...(vipCommand === undefined ? [] : [`this would help: ${vipCommand}`]),
  ];
}

function frontendRow({ key, service, portName, kind, state, counters }: FrontendStatus): readonly string[] {
  const { ended } = counters;
  const failed = counters.connections - counters.active - ended.done - ended["client-reset"] - ended["endpoint-reset"];
  return [
    key,
    portName === "" ? service : `${service}:${portName}`,
    kind,
    describeState(state),
    String(counters.active),
    String(counters.connections),
    String(Math.max(0, failed)),
    formatBytes(counters.bytesFromClient),
    formatBytes(counters.bytesToClient),
  ];
}

function describeState(state: ListenState): string {
  switch (state.kind) {
    case "listening":
      return "listening";
    case "refusing":
      return `refusing: ${state.reason ?? "no endpoint for anybody"}`;
    case "draining":
      return "draining: left the plan";
    case "unsupported":
      return `unsupported: ${state.reason}`;
    case "failed":
      return `failed: ${describeFailure(state)}`;
  }
}

function endpointRow({ key, pod, state, ejectedForMs, counters }: EndpointStatus): readonly string[] {
  const failures = Object.entries(counters.dialFailures).map(([code, count]) => `${count} ${code}`);
  const dials = counters.dialTime.counts.reduce((sum, count) => sum + count, 0);
  return [
    key,
    pod ?? "-",
    state === "ejected" ? `ejected for ${formatAge(ejectedForMs)}` : state,
    String(counters.active),
    String(counters.connections),
    failures.length === 0 ? "0" : failures.join(", "),
    String(counters.retries),
    dials === 0 ? "-" : `${((counters.dialTime.sumSeconds / dials) * 1000).toFixed(2)} ms`,
  ];
}

/** Columns as wide as their widest cell; nothing where there are no rows. */
function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  if (rows.length === 0) return "";
  const lines = [header, ...rows.map((row) => row.map(visible))];
  const widths = header.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  return lines
    .map(
      (line) =>
        `${line
          .map((cell, column) => cell.padEnd(widths[column] ?? 0))
          .join("  ")
          .trimEnd()}\n`,
    )
    .join("");
}

function formatBytes(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
}

function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}
