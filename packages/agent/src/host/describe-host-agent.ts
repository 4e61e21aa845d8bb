import process from "node:process";
import type { Problem } from "@svcproxy/topology";
import type { AgentStatus } from "../agent-status.ts";
import type { DriftKeeper } from "./changes/drift-keeper.ts";
import type { KernelWatch } from "./changes/kernel-watch.ts";
import type { ChosenDataPath } from "./data-path/choose-data-path.ts";
import type { Findings } from "./findings-keeper.ts";
import type { GuardStatus, HostAgentStatus, KernelStatus } from "./host-agent-status.ts";
import type { InForce } from "./in-force.ts";

/** What the status of a host's agent is made of. */
export interface HostAgentFacts {
  readonly version: string;
  readonly startedAt: Date;
  /** Of the agent that carries plans out. */
  readonly agent: AgentStatus;
  readonly chosen: Pick<ChosenDataPath, "passedOver" | "better">;
  readonly drift: DriftKeeper | undefined;
  readonly watch: KernelWatch | undefined;
  readonly guard: GuardStatus;
  readonly inForce: InForce;
  /** Of ports that are waited for, and of other data paths. */
  readonly problems: readonly Problem[];
  /** Of the last look; undefined: there was none yet. */
  readonly findings: Findings | undefined;
}

export function describeHostAgent(facts: HostAgentFacts): HostAgentStatus {
  const { version, startedAt, agent, chosen, drift, watch, guard, inForce, problems, findings } = facts;
  const contest = drift?.problem;
  const { digest } = inForce;
  return {
    version,
    pid: process.pid,
    startedAt: startedAt.toISOString(),
    ...agent,
    state: contest !== undefined && agent.state === "following" ? "degraded" : agent.state,
    problems: withFindings(
      [...(contest === undefined ? [] : [contest]), ...problems, ...agent.problems],
      findings?.problems ?? [],
    ),
    ...(findings === undefined
      ? {}
      : { looked: { at: findings.lookedAt.toISOString(), tookMs: Math.round(findings.tookMs) } }),
    passedOver: chosen.passedOver,
    ...(chosen.better === undefined ? {} : { betterDataPath: chosen.better }),
    kernel: describeKernel(drift, watch),
    guard,
    applies: inForce.applies,
    ...(digest === undefined ? {} : { planDigest: digest }),
  };
}

/** What was found with its evidence stands for what an apply noticed of the same. */
function withFindings(problems: readonly Problem[], found: readonly Problem[]): readonly Problem[] {
  const keyOf = ({ code, subject }: Problem) => `${code} ${subject}`;
  const keys = new Set(found.map(keyOf));
  return [...problems.filter((problem) => !keys.has(keyOf(problem))), ...found];
}

function describeKernel(drift: DriftKeeper | undefined, watch: KernelWatch | undefined): KernelStatus {
  const last = drift?.last;
  const lookEveryMs = watch?.everyMs;
  return {
    notice: watch === undefined ? "none" : lookEveryMs === undefined ? "told" : "looking",
    ...(lookEveryMs === undefined ? {} : { lookEveryMs }),
    mended: drift?.mendedCount ?? 0,
    ...(last === undefined
      ? {}
      : { lastMended: { at: last.at.toISOString(), ...last.by, what: last.what, differences: last.count } }),
  };
}
