import process from "node:process";
import type { HostAgentStatus } from "./host-agent-status.ts";

/** `/statusz` as Kubernetes' components answer it, for people. @see k8s.io/component-base/zpages/statusz */
export function renderStatusz(
  { version, startedAt, state, dataPath, source }: HostAgentStatus,
  { now, paths }: { readonly now: Date; readonly paths: readonly string[] },
): string {
  const seconds = Math.max(0, Math.floor((now.getTime() - Date.parse(startedAt)) / 1000));
  const up = `${Math.floor(seconds / 3600)} hr ${Math.floor(seconds / 60) % 60} min ${seconds % 60} sec`;
  return `svcproxy statusz
Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.

Started: ${startedAt}
Up: ${up}
Node version: ${process.version}
Binary version: ${version}
State: ${state}
Data path: ${dataPath}
Source: ${source.name}
Paths: ${paths.join(" ")}
`;
}
