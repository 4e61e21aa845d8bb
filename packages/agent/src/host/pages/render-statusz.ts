import process from "node:process";
import { visible } from "@svcproxy/topology";
import type { HostAgentStatus } from "../host-agent-status.ts";

/**
 * `/statusz` as Kubernetes' components answer it, for people; what is ours stands behind it.
 *
 * @see k8s.io/apiserver/pkg/server/statusz/textserializer.go
 */
export function renderStatusz(
  { version, startedAt, state, dataPath, source }: HostAgentStatus,
  { now, paths }: { readonly now: Date; readonly paths: readonly string[] },
): string {
  const started = new Date(startedAt);
  return `
svcproxy statusz
Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.

Started: ${unixDate(started)}
Up: ${uptime(now.getTime() - started.getTime())}
Node version: ${process.version}
Binary version: ${version}
Paths: ${firstFolders(paths).join(" ")}

State: ${state}
Data path: ${dataPath}
Source: ${visible(source.name)}
`;
}

/** Go's time.UnixDate: `Wed Oct 16 21:03:43 UTC 2024`. */
function unixDate(time: Date): string {
  const [weekday = "", day = "", month = "", year = "", clock = ""] = time.toUTCString().replace(",", "").split(" ");
  return `${weekday} ${month} ${day.replace(/^0/, " ")} ${clock} UTC ${year}`;
}

function uptime(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const two = (number: number) => String(number).padStart(2, "0");
  return `${Math.floor(seconds / 3600)} hr ${two(Math.floor(seconds / 60) % 60)} min ${two(seconds % 60)} sec`;
}

function firstFolders(paths: readonly string[]): readonly string[] {
  return [...new Set(paths.map((path) => `/${path.split("/")[1] ?? ""}`))].sort();
}
