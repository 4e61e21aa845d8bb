import { setTimeout as delay } from "node:timers/promises";
import {
  askAgent,
  type HostAgentStatus,
  isHostAgentStatus,
  portsOf,
  renderHostAgentStatus,
  type ServiceDetail,
} from "@svcproxy/agent";
import { IptablesDataPath } from "@svcproxy/iptables";
import { EnvironmentError, formatProblem, inputError } from "@svcproxy/topology";
import type { CommandContext, ExitCode } from "../command-line/command-context.ts";
import { renderJson } from "../command-line/render-json.ts";
import { openDataPath as openTables } from "../host-rules/host-tables.ts";
import { leftOverProblems } from "./left-over.ts";

export interface StatusFlags {
  readonly service?: string;
  readonly watch?: true;
  readonly json?: true;
}

/** `--watch` asks this often. */
const WATCH_MS = 1_000;

/** How the agent stands; with `watch` again whenever it stands otherwise. @returns 3 where it is not following */
export async function showStatus(context: CommandContext, flags: StatusFlags): Promise<ExitCode> {
  if (flags.watch === true) return watchStatus(context, flags);
  const status = await readStatus(context);
  await context.print(render(status, { flags, details: await readDetails(flags) }));
  return status.state === "following" ? 0 : 3;
}

/** An agent that is restarted is waited for. */
async function watchStatus(context: CommandContext, flags: StatusFlags): Promise<ExitCode> {
  let shown: string | undefined;
  while (!context.signal.aborted) {
    try {
      const status = await readStatus(context, { isFirst: shown === undefined });
      // The next agent serves nothing yet.
      if (shown === undefined || status.state !== "starting") {
        const details = await readDetails(flags);
        const meaning = meaningOf(status, details);
        if (meaning !== shown) await context.print(render(status, { flags, details }));
        shown = meaning;
      }
    } catch (error) {
      if (shown === undefined || !(error instanceof EnvironmentError) || error.code !== "NOT_RUNNING") throw error;
      if (shown !== "") context.note("svcproxy: the agent does not answer any more; waiting for it");
      shown = "";
    }
    await delay(WATCH_MS, undefined, { signal: context.signal }).catch(() => {});
  }
  return 0;
}

/** Where no agent runs, what is there without one is named. */
async function readStatus(
  context: CommandContext,
  { isFirst = true }: { readonly isFirst?: boolean } = {},
): Promise<HostAgentStatus> {
  const { value } = await askAgent("GET /v1/status?findings=new").catch(async (error: unknown) => {
    if (isFirst && error instanceof EnvironmentError && error.code === "NOT_RUNNING") await noteLeftOver(context);
    throw error;
  });
  if (isHostAgentStatus(value)) return value;
  throw new EnvironmentError("OTHER_VERSION", "Cannot show the status: the running agent is of another version");
}

/** Says what of ours is in the kernel although no agent keeps it true. */
async function noteLeftOver(context: CommandContext): Promise<void> {
  for (const left of await leftOverProblems(context)) context.note(formatProblem(left));
  const rules = new IptablesDataPath({ settings: { defaultDialect: "document", takePorts: new Set() } });
  for (const dataPath of [await openTables(context, {}), rules]) {
    try {
      const { vips, endpoints } = await dataPath.census({ signal: context.signal });
      if (vips.size === 0) continue;
      context.note(
        `svcproxy: ${dataPath.name} serves ${vips.size} VIPs by ${endpoints.size} endpoints here, and no agent keeps that true; svcproxy cleanup removes it`,
      );
    } catch (error) {
      // Where this user may not look, or a tool is missing, there is nothing to say.
      if (!(error instanceof EnvironmentError)) throw error;
    }
  }
}

/** Where a service leads, and since when. @returns undefined where no service is asked for, or none of that name is in force */
async function readDetails({ service }: StatusFlags): Promise<readonly ServiceDetail[] | undefined> {
  if (service === undefined) return undefined;
  const { code, value } = await askAgent(`GET /v1/services?${new URLSearchParams({ service })}`);
  if (code !== 200 || !isServices(value)) return undefined;
  return value.services;
}

function isServices(value: unknown): value is { readonly services: readonly ServiceDetail[] } {
  return typeof value === "object" && value !== null && "services" in value && Array.isArray(value.services);
}

interface Shown {
  readonly flags: StatusFlags;
  readonly details: readonly ServiceDetail[] | undefined;
}

function render(status: HostAgentStatus, { flags: { service, json }, details }: Shown): string {
  const ports = service === undefined ? status.ports : portsNamed(status, service);
  if (json !== true) return renderHostAgentStatus(status, { now: Date.now(), service, details });
  return renderJson({ ...status, ports: details ?? ports });
}

/** @throws InputError UNKNOWN_SERVICE */
function portsNamed({ ports }: HostAgentStatus, name: string): HostAgentStatus["ports"] {
  const found = portsOf(ports, name);
  if (found.length > 0) return found;
  throw inputError("UNKNOWN_SERVICE", `The agent serves no service ${JSON.stringify(name)}`);
}

/** What has to differ for it to be shown again. */
function meaningOf(
  { busySince: _busy, looked: _looked, source: { lastHeardAt: _heard, ...source }, ...status }: HostAgentStatus,
  details: Shown["details"],
): string {
  return JSON.stringify([status, source, details]);
}

/** Lets the agent carry out what it held back. @throws EnvironmentError NOTHING_HELD */
export async function confirmChange(context: CommandContext): Promise<ExitCode> {
  const { code, value } = await askAgent("POST /v1/confirm");
  if (code === 409) {
    throw new EnvironmentError("NOTHING_HELD", "There is nothing to confirm: no change is held back", {
      hint: "svcproxy status shows how the agent stands",
    });
  }
  if (code !== 200 || typeof value !== "object" || value === null || !("confirmed" in value))
    throw new EnvironmentError("OTHER_VERSION", "Cannot confirm: the running agent is of another version");
  await context.print(`confirmed: ${String(value.confirmed)}\n`);
  return 0;
}
