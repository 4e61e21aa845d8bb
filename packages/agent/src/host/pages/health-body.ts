import { isLate } from "../../is-late.ts";
import type { HostAgentStatus } from "../host-agent-status.ts";

/** As kube-proxy writes it. */
const NEVER = "0001-01-01T00:00:00Z";

/** What kube-proxy answers on `/healthz` and `/livez`, and the source's state beside it. */
export interface HealthBody {
  /** Of what is well: now. Whoever watches its age watches whether we are well; `status` says when a plan was last carried out. */
  readonly lastUpdated: string;
  readonly currentTime: string;
  /** On `/healthz` alone. */
  readonly nodeEligible?: boolean;
  readonly healthy: boolean;
  /** By IP family; none before the first plan. */
  readonly status: Readonly<Record<string, { readonly lastUpdated: string; readonly healthy: boolean }>>;
  readonly state: HostAgentStatus["state"];
  readonly source: SourceHealth;
  readonly problems: number;
}

/** How the source stands, without names of services: balancers far away may ask for it. `/v1/status` and `svcproxy status` have those. */
export interface SourceHealth extends Omit<HostAgentStatus["source"], "refused" | "fault"> {
  /** How many entries have a last word that is not in force. */
  readonly refused: number;
  /** Set while there is no newer state than the one in force, because of problems with these codes. */
  readonly fault?: { readonly since: string; readonly codes: readonly string[] };
}

/**
 * How an agent stands, for probes. A source that is silent or broken, and a change that the machine refuses, are told and do not make it
 * unhealthy: to start it again would mend nothing. What makes it so is work that does not come to an end.
 */
export function healthBody(
  status: HostAgentStatus,
  { page, now }: { readonly page: "healthz" | "livez"; readonly now: Date },
): { readonly isWell: boolean; readonly body: HealthBody } {
  const { state, source, busySince, problems, appliedAt = NEVER } = status;
  const healthy = busySince === undefined || !isLate(new Date(busySince), now);
  const { nodeEligible = true } = source;
  const isWell = healthy && (page === "livez" || nodeEligible);
  const currentTime = now.toISOString();
  const body = {
    lastUpdated: isWell ? currentTime : appliedAt,
    currentTime,
    ...(page === "healthz" ? { nodeEligible } : {}),
    healthy,
    status: Object.fromEntries(familiesOf(status).map((family) => [family, { lastUpdated: appliedAt, healthy }])),
    ...{ state, source: healthOf(source), problems: problems.length },
  };
  return { isWell, body };
}

function healthOf({ refused = [], fault, ...source }: HostAgentStatus["source"]): SourceHealth {
  return {
    ...source,
    refused: refused.length,
    ...(fault === undefined
      ? {}
      : { fault: { since: fault.since, codes: [...new Set(fault.problems.map(({ code }) => code))] } }),
  };
}

function familiesOf({ appliedAt, ports }: HostAgentStatus): readonly string[] {
  if (appliedAt === undefined) return [];
  const families = new Set(ports.map(({ family }) => `IPv${family}`));
  return families.size === 0 ? ["IPv4"] : [...families].sort();
}
