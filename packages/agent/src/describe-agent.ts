import { countStates, type DataPathName, type ServicePortStatus } from "@svcproxy/host";
import type { HostPlan, Problem } from "@svcproxy/topology";
import type { AgentState, AgentStatus, SourceStatus } from "./agent-status.ts";
import { reasonsOf } from "./reasons-of.ts";
import type { HeldChange } from "./removal-guard.ts";
import type { RefusedEntry, Source } from "./source.ts";

/** What an agent knows of itself. */
export interface AgentFacts {
  readonly source: Pick<Source, "name" | "lastHeard" | "isNodeEligible">;
  readonly readAt: Date | undefined;
  readonly sourceFault: { readonly since: Date; readonly problems: readonly Problem[] } | undefined;
  readonly warnings: readonly Problem[];
  /** Entries of the source whose last word is not in force. */
  readonly refused: readonly RefusedEntry[];
  /** How many endpoints are kept although the source lost them. */
  readonly staleEndpoints: number;
  readonly dataPath: DataPathName;
  /** The plan that was carried out last. */
  readonly applied: Applied | undefined;
  readonly failure: { readonly since: Date; readonly problem: Problem } | undefined;
  readonly held: HeldChange | undefined;
  /** Whether nothing is known of what is in force. */
  readonly isUnsure: boolean;
  readonly isStopping: boolean;
  readonly busySince: Date | undefined;
  readonly retryAt: Date | undefined;
  readonly ports: readonly ServicePortStatus[];
}

export interface Applied {
  readonly plan: HostPlan;
  readonly at: Date;
  readonly problems: readonly Problem[];
}

/** A source that has to give signs of life is stale after this long without. */
const STALE_AFTER_MS = 60_000;

export function describeAgent(facts: AgentFacts): AgentStatus {
  const { dataPath, applied, failure, held, busySince, retryAt, warnings, ports } = facts;
  return {
    ...{ state: stateOf(facts), dataPath, source: describeSource(facts) },
    ...(applied === undefined ? {} : { host: applied.plan.host.name, appliedAt: applied.at.toISOString() }),
    ...(failure === undefined ? {} : { failure: { since: failure.since.toISOString(), problem: failure.problem } }),
    ...(retryAt === undefined ? {} : { retryAt: retryAt.toISOString() }),
    ...(held === undefined ? {} : { held: { since: held.since.toISOString(), lost: held.lost } }),
    ...(busySince === undefined ? {} : { busySince: busySince.toISOString() }),
    ports,
    problems: [...troublesOf(facts), ...warnings, ...(applied?.problems ?? [])],
  };
}

/** The state, and why it is not better. */
export function summarizeAgent(facts: AgentFacts): { readonly state: AgentState; readonly why?: string } {
  const state = stateOf(facts);
  if (state === "following" || state === "stopping") return { state };
  const [trouble] = troublesOf(facts);
  const why = trouble?.text ?? whyNotInForce(facts.ports);
  return why === undefined ? { state } : { state, why };
}

/** Of service ports that are not served as planned; undefined: all are. */
function whyNotInForce(ports: readonly ServicePortStatus[]): string | undefined {
  const [first, ...others] = ports.filter(({ state }) => state !== "in-force");
  const text = first?.problem?.text;
  // Not how many: each change of the text is a line of the log.
  return text === undefined || others.length === 0 ? text : `${text}; others have such a problem as well`;
}

function stateOf(facts: AgentFacts): AgentState {
  const { isStopping, applied, failure, held, isUnsure, ports } = facts;
  if (isStopping) return "stopping";
  if (applied === undefined && failure === undefined && held === undefined) return "starting";
  if (isStale(facts)) return "stale";
  const isWell = troublesOf(facts).length === 0 && !isUnsure;
  return isWell && countStates(ports)["in-force"] === ports.length ? "following" : "degraded";
}

/** What keeps the source's last word from being in force, the gravest first. */
function troublesOf(facts: AgentFacts): readonly Problem[] {
  const { sourceFault, refused, failure, held } = facts;
  return [
    ...(isStale(facts) ? [staleProblem(facts)] : []),
    ...reasonsOf(sourceFault?.problems ?? []),
    ...refused
      .flatMap(({ problems }) => reasonsOf(problems))
      .filter((problem) => !isAmong(problem, sourceFault?.problems)),
    ...(failure === undefined ? [] : [failure.problem]),
    ...(held === undefined ? [] : [held.problem]),
  ];
}

function isStale({ source }: Pick<AgentFacts, "source">): boolean {
  const heard = source.lastHeard?.();
  return heard !== undefined && Date.now() - heard.getTime() > STALE_AFTER_MS;
}

function staleProblem({ source }: Pick<AgentFacts, "source">): Problem {
  return {
    code: "SOURCE_STALE",
    severity: "warning",
    subject: source.name,
    text: `Nothing was heard of ${source.name} since ${source.lastHeard?.()?.toISOString() ?? "the start"}; what it last said stays in force`,
  };
}

function describeSource({ source, readAt, sourceFault, refused, staleEndpoints }: AgentFacts): SourceStatus {
  const { name } = source;
  const heard = source.lastHeard?.();
  const nodeEligible = source.isNodeEligible?.();
  return {
    name,
    ...(readAt === undefined ? {} : { readAt: readAt.toISOString() }),
    ...(heard === undefined ? {} : { lastHeardAt: heard.toISOString() }),
    ...(nodeEligible === undefined ? {} : { nodeEligible }),
    ...(refused.length === 0
      ? {}
      : { refused: refused.map(({ since, ...entry }) => ({ ...entry, since: since.toISOString() })) }),
    ...(staleEndpoints === 0 ? {} : { staleEndpoints }),
    ...(sourceFault === undefined
      ? {}
      : { fault: { since: sourceFault.since.toISOString(), problems: sourceFault.problems } }),
  };
}

/** A source that cannot be read as a whole names what is wrong with its entries once more. */
function isAmong({ code, subject, text }: Problem, others: readonly Problem[] = []): boolean {
  return others.some((other) => other.code === code && other.subject === subject && other.text === text);
}
