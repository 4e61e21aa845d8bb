import type { HostAgentStatus } from "./host-agent-status.ts";

/** What is under way for longer than this hangs; kube-proxy's measure is twice its sync period of 30 s. */
const HANGS_AFTER_MS = 60_000;

/** What kube-proxy answers on `/healthz` and `/livez`, and the source's state beside it. */
export interface HealthBody {
  readonly lastUpdated: string;
  readonly currentTime: string;
  readonly nodeEligible: boolean;
  readonly healthy: boolean;
  readonly status: Readonly<Record<string, { readonly lastUpdated: string; readonly healthy: boolean }>>;
  readonly state: HostAgentStatus["state"];
  readonly source: HostAgentStatus["source"];
  readonly problems: number;
}

/**
 * How an agent stands, for probes. A source that is silent or broken, and a change that the machine refuses, are told and do not make it
 * unhealthy: to start it again would mend nothing. What makes it so is work that does not come to an end.
 */
export function healthBody(status: HostAgentStatus, now: Date): HealthBody {
  const { state, source, busySince, problems } = status;
  const healthy = busySince === undefined || now.getTime() - Date.parse(busySince) <= HANGS_AFTER_MS;
  const lastUpdated = status.appliedAt ?? status.startedAt;
  const families = new Set(status.ports.map(({ family }) => family));
  const ofFamily = { lastUpdated, healthy };
  return {
    lastUpdated,
    currentTime: now.toISOString(),
    nodeEligible: source.nodeEligible ?? true,
    healthy,
    status: {
      ...(families.has(6) && !families.has(4) ? {} : { IPv4: ofFamily }),
      ...(families.has(6) ? { IPv6: ofFamily } : {}),
    },
    state,
    source,
    problems: problems.length,
  };
}
